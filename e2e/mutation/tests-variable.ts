/** Name of the environment variable that lists the tests of an area for Stryker's workers. */
export const TESTS_VARIABLE = "ONCEKEY_MUTATION_TESTS";
