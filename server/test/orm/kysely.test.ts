import { transactionalContract } from "./contract.ts";
import { library } from "./libraries/kysely.ts";

transactionalContract(library);
