import { transactionalContract } from "./contract.ts";
import { library } from "./libraries/typeorm.ts";

transactionalContract(library);
