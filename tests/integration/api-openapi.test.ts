import * as fc from 'fast-check';
import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiOperation, fillPath, type JsonSchema, readOperations } from '../fixtures/api-description.ts';
import { startTestControl, type TestControl } from '../fixtures/test-control.ts';

/** For each operation; a seed that failed is printed by fast-check. */
const RUNS = 25;
const NAMES = ['oslo', 'rome', 'x', '', '.', '__proto__', 'constructor', '%00', '../..', 'a'.repeat(90)];

let control: TestControl;
let operations: readonly ApiOperation[];
beforeAll(async () => {
  control = await startTestControl({}, { strangers: { burst: 1e6, perSecond: 1e6 } });
  operations = await readOperations(control);
  for (const node of ['oslo', 'rome']) await control.tokenFor(node);
});
afterAll(async () => control.stop());

/** Values of a schema, mostly: numbers and texts a little beyond their bounds come too. */
function valuesOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  const choices = (schema['anyOf'] ?? schema['oneOf']) as readonly JsonSchema[] | undefined;
  if (choices !== undefined) return fc.oneof(...choices.map(valuesOf));
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]), 'other');
  if ('const' in schema) return fc.constant(schema['const']);
  switch (schema['type']) {
    case 'object':
      return objectsOf(schema);
    case 'array':
      return fc.array(valuesOf((schema['items'] ?? {}) as JsonSchema), { maxLength: 4 });
    case 'integer':
      return fc.oneof(fc.integer({ min: -1, max: 300 }), fc.integer());
    case 'number':
      return fc.oneof(fc.integer({ min: -1, max: 70_000 }), fc.double({ noNaN: true, noDefaultInfinity: true }));
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.oneof(
        fc.constantFrom(...NAMES, '127.0.0.1', 'a@example.org'),
        fc.string({ maxLength: 400, unit: 'binary' }),
      );
  }
}

function objectsOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>);
  const required = new Set((schema['required'] ?? []) as string[]);
  const members = Object.fromEntries(properties.map(([name, each]) => [name, valuesOf(each)]));
  if (properties.length === 0)
    return fc.dictionary(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }), { maxKeys: 3 });
  const requiredKeys = properties.map(([name]) => name).filter((name) => required.has(name));
  return fc.oneof(
    { weight: 9, arbitrary: fc.record(members, { requiredKeys }) },
    { weight: 1, arbitrary: fc.jsonValue() },
  );
}

interface Attempt {
  readonly path: Record<string, string>;
  readonly query: Record<string, unknown>;
  readonly body: unknown;
}

function attemptsOf(operation: ApiOperation): fc.Arbitrary<Attempt> {
  const of = (place: string): fc.Arbitrary<Record<string, unknown>> => {
    const found = operation.parameters.filter((each) => each.in === place);
    return fc.record(Object.fromEntries(found.map(({ name, schema }) => [name, valuesOf(schema)])), {
      requiredKeys: [],
    });
  };
  const names = operation.parameters.filter((each) => each.in === 'path').map(({ name }) => name);
  const path = fc.record(Object.fromEntries(names.map((name) => [name, fc.constantFrom(...NAMES)])));
  return fc.record({
    path,
    query: of('query'),
    body: operation.body ? valuesOf(operation.body) : fc.constant(undefined),
  });
}

function lineOf(operation: ApiOperation, { path, query }: Attempt): string {
  const given = Object.entries(query).map(([name, value]) => [name, String(value)]);
  const search = new URLSearchParams(given).toString();
  return `${fillPath(operation, path)}${search === '' ? '' : `?${search}`}`;
}

test('whatever fits a schema, or nearly, is answered as the OpenAPI file says, and never with 500', async () => {
  const seen = new Map<number, number>();
  for (const operation of operations) {
    const validators = new Map(
      Object.entries(operation.answers).map(([status, schema]) => [
        Number(status),
        schema && Compile(schema as object),
      ]),
    );
    await fc.assert(
      fc.asyncProperty(attemptsOf(operation), async (attempt) => {
        const { status, body } = await control.ask(operation.method, lineOf(operation, attempt), attempt.body);
        seen.set(status, (seen.get(status) ?? 0) + 1);
        const problems = validators.has(status) ? validators.get(status)?.Errors(body) : ['undeclared'];
        const isWrong = status === 500 || (problems ?? []).length > 0;
        const line = `${operation.method} ${operation.path}: ${status} ${JSON.stringify({ body, problems })}`;
        expect(isWrong ? line : '').toBe('');
      }),
      { numRuns: RUNS },
    );
  }
  expect(operations.length).toBeGreaterThan(30);
  for (const status of [200, 201, 404, 422]) expect([status, seen.get(status) ?? 0]).not.toEqual([status, 0]);
});
