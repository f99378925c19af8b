import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ACTION_NAMES, type ApiAction, tableAllows } from '#control/contract/actions.ts';
import { USER_ROLES, type UserRole } from '#control/principal.ts';
import { type ApiOperation, fillPath, readOperations } from '../fixtures/api-description.ts';
import { startTestControl, type TestControl } from '../fixtures/test-control.ts';

const PASSWORD = 'correct horse battery';
/** What whoever can reach the port may do. */
const OPEN = ['GET /api/v1/version', 'POST /api/v1/users/login', 'POST /api/v1/users/register'];
/** After these the caller needs another session. */
const ENDING: ReadonlySet<string> = new Set(['session:use', 'users:end-sessions']);

interface Person {
  readonly role: UserRole;
  readonly id: string;
  token: string;
}

let control: TestControl;
let operations: readonly ApiOperation[];
let from = 0;
const people = new Map<UserRole, Person>();

beforeAll(async () => {
  control = await startTestControl({}, { strangers: { burst: 10_000, perSecond: 10_000 } });
  operations = await readOperations(control);
  for (const role of USER_ROLES) people.set(role, await createPerson(role, role));
});
afterAll(async () => control.stop());

async function ask(method: string, path: string, token?: string, body?: unknown): Promise<Record<string, unknown>> {
  from = (from % 250) + 1;
  const headers = { authorization: token === undefined ? '' : `Bearer ${token}` };
  const answer = await control.ask(method, path, body, headers, `127.0.1.${from}`);
  const error = answer.body['error'] as { code: string } | undefined;
  return { ...answer.body, status: answer.status, refusal: error?.code };
}

async function createPerson(name: string, role: UserRole): Promise<Person> {
  const { code } = await ask('POST', '/api/v1/users/invitations', control.credential, { role });
  const made = await ask('POST', '/api/v1/users/register', undefined, { code, name, password: PASSWORD });
  return { role, id: (made['user'] as { id: string }).id, token: String(made['token']) };
}

async function createKey(token: string): Promise<string> {
  const made = await ask('POST', '/api/v1/api-keys', token, { name: 'k' });
  return (made['apiKey'] as { id: string }).id;
}

async function loginAgain(person: Person): Promise<void> {
  const opened = await ask('POST', '/api/v1/users/login', undefined, { name: person.role, password: PASSWORD });
  person.token = String(opened['token']);
}

describe('every route of the OpenAPI file', () => {
  test('declares an action of the table, or is one of the few open ones', () => {
    expect(operations.length).toBeGreaterThan(30);
    for (const { action, isOpen } of operations) expect(isOpen ? ['open'] : ACTION_NAMES).toContain(action);
    expect(
      operations
        .filter(({ isOpen }) => isOpen)
        .map(({ method, path }) => `${method} ${path}`)
        .toSorted(),
    ).toEqual(OPEN);
    expect(new Set(operations.map(({ action }) => action)).size).toBe(ACTION_NAMES.length + 1);
  });

  test('refuses who has no credential, and lets in who needs none', async () => {
    for (const operation of operations) {
      const { refusal } = await ask(operation.method, fillPath(operation, {}));
      expect([fillPath(operation, {}), refusal === 'CREDENTIAL_WRONG']).toEqual([
        fillPath(operation, {}),
        !operation.isOpen,
      ]);
    }
  });

  test.each(USER_ROLES)(
    'lets a %s do what the table says and nothing else, with its own and with another’s',
    async (role) => {
      const person = people.get(role);
      const other = people.get(role === 'viewer' ? 'auditor' : 'viewer');
      if (person === undefined || other === undefined) throw new Error('nobody registered');
      let judged = 0;
      for (const operation of operations.filter(({ isOpen }) => !isOpen)) {
        const isObject = /\/(?:users|api-keys)\/\{id\}/.test(operation.path);
        for (const owner of isObject ? [person, other] : [person]) {
          const isKey = operation.path.includes('/api-keys/');
          const id = isKey ? await createKey(owner.token) : owner.id;
          const path = fillPath(operation, { id });
          const allowed = tableAllows([role], operation.action as ApiAction, owner === person);
          const { refusal } = await ask(operation.method, path, person.token);
          const line = `${operation.method} ${operation.path} as ${role} of ${owner === person ? 'its own' : 'another'}`;
          expect([line, refusal === 'ACTION_DENIED', refusal === 'CREDENTIAL_WRONG']).toEqual([line, !allowed, false]);
          judged++;
          if (allowed && ENDING.has(operation.action)) await loginAgain(owner);
        }
      }
      expect(judged).toBeGreaterThan(30);
    },
  );

  test('tells whoever is refused which decision it was', async () => {
    const answer = await ask('POST', '/api/v1/nodes/oslo/revoke', people.get('viewer')?.token);
    expect(answer).toMatchObject({ status: 403, error: { details: { action: 'nodes:revoke' } } });
    const { details } = answer['error'] as { details: { decision: string } };
    expect(details.decision).toMatch(/^[0-9a-f]{32}$/);
  });
});
