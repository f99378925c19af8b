import type { Decision, EntityRef, PolicyEntity, PolicyError, PolicyText, PolicyValue } from '#trust/policy/engine.ts';
import { POLICY_LIMIT, POLICY_TEXT_LIMIT_BYTES } from '#trust/policy/limits.ts';
import { demand, readArray, readBoolean, readInteger, readRecord, readShape, readText } from '#trust/read.ts';

/** Of a name, an id or a short value. */
const WORD_LIMIT_CHARS = 512;
const MESSAGE_LIMIT_CHARS = 4_096;
/** What a decision is given: two entities, and those that conditions name. */
const ENTITY_LIMIT = 4_096;
const PARENT_LIMIT = 1_024;
/** Posture is a record in a record. */
const VALUE_DEPTH = 4;

/** The record of a decision as JSON holds it; undefined where it is none. */
export function readDecision(value: unknown): Decision | undefined {
  return readShape(value, (shape) => {
    const record = readRecord(shape);
    return {
      id: readWord(record['id']),
      principal: readRef(record['principal']),
      action: readWord(record['action']),
      resource: readRef(record['resource']),
      context: readValues(record['context'], VALUE_DEPTH),
      allowed: readBoolean(record['allowed']),
      policies: readArray(record['policies'], POLICY_LIMIT, readWord),
      errors: readArray(record['errors'], POLICY_LIMIT, readError),
      snapshotVersion: readInteger(record['snapshotVersion'], 0, Number.MAX_SAFE_INTEGER),
      decidedAtMs: readInteger(record['decidedAtMs'], 0, Number.MAX_SAFE_INTEGER),
      entities: readArray(record['entities'], ENTITY_LIMIT, readEntity),
      candidates: readArray(record['candidates'], POLICY_LIMIT, readPolicy),
    };
  });
}

function readWord(value: unknown): string {
  return readText(value, WORD_LIMIT_CHARS);
}

function readRef(value: unknown): EntityRef {
  const record = readRecord(value);
  return { type: readWord(record['type']), id: readWord(record['id']) };
}

function readEntity(value: unknown): PolicyEntity {
  const record = readRecord(value);
  return {
    ...readRef(record),
    attributes: readValues(record['attributes'], VALUE_DEPTH),
    parents: readArray(record['parents'], PARENT_LIMIT, readRef),
  };
}

function readPolicy(value: unknown): PolicyText {
  const record = readRecord(value);
  return { id: readWord(record['id']), text: readText(record['text'], POLICY_TEXT_LIMIT_BYTES) };
}

function readError(value: unknown): PolicyError {
  const record = readRecord(value);
  return { policy: readWord(record['policy']), message: readText(record['message'], MESSAGE_LIMIT_CHARS) };
}

function readValues(value: unknown, depth: number): Readonly<Record<string, PolicyValue>> {
  demand(depth > 0, 'values that nest less were expected');
  return Object.fromEntries(
    Object.entries(readRecord(value)).map(([name, each]) => [name, readValue(each, depth - 1)]),
  );
}

function readValue(value: unknown, depth: number): PolicyValue {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return readWord(value);
  if (typeof value === 'number') return readInteger(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  return readValues(value, depth);
}
