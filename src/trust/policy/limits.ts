/** Of one policy, which may hold a few statements. A statement for one service with ten conditions has some 500 bytes. */
export const POLICY_TEXT_LIMIT_BYTES = 16 * 1024;
/** Of one mesh: one for each of 500 services and four beside it. */
export const POLICY_LIMIT = 2_000;
/** Of one policy. */
export const STATEMENT_LIMIT = 32;
/** Of all enabled policies together: a quarter of what a snapshot may hold. */
export const POLICY_TEXTS_LIMIT_BYTES = 2 * 1024 * 1024;
/** The evaluator recurses: 1,000 brackets exhaust its stack, which ends it. */
export const POLICY_DEPTH_LIMIT = 40;
/** It recurses along chains of operators too; 5,000 of them it survives. */
export const POLICY_TOKEN_LIMIT = 2_000;
/** Sets of candidates that stand parsed: as many pairs of a kind of node and a service are in use at one node. */
export const PARSED_SET_LIMIT = 256;
/** Decisions that need not be made again: one for each pair of a node and a service that a node meets. */
export const CACHED_DECISION_LIMIT = 16_384;
/** Decisions that a node can still explain. */
export const REMEMBERED_DECISION_LIMIT = 4_096;
