import { transactionalContract } from "./contract.ts";
import { library } from "./libraries/drizzle.ts";

transactionalContract(library);
