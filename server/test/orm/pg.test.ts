import { transactionalContract } from "./contract.ts";
import { library } from "./libraries/pg.ts";

transactionalContract(library);
