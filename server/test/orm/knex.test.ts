import { transactionalContract } from "./contract.ts";
import { library } from "./libraries/knex.ts";

transactionalContract(library);
