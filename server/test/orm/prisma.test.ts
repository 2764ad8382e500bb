import { transactionalContract } from "./contract.ts";
import { library } from "./libraries/prisma.ts";

transactionalContract(library);
