import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestControl, type TestControl } from '../fixtures/test-control.ts';

const PASSWORD = 'correct horse battery';
type Body = Record<string, unknown>;
interface Answer {
  readonly status: number;
  readonly body: Body;
}

let control: TestControl;
let operator: string;
let from = 0;

beforeAll(async () => {
  control = await startTestControl();
  operator = await createPerson('operator');
  // The evaluators are compiled at their first use.
  await tryText(when('principal.relay'));
});
afterAll(async () => control.stop());

async function ask(method: string, path: string, token: string, body?: unknown): Promise<Answer> {
  from = (from % 250) + 1;
  const headers = { authorization: `Bearer ${token}` };
  return await control.ask(method, `/api/v1${path}`, body, headers, `127.0.5.${from}`);
}

function codeOf({ body }: Answer): unknown {
  return (body['error'] as Body | undefined)?.['code'];
}

async function createPerson(role: string): Promise<string> {
  const { code } = (await ask('POST', '/users/invitations', control.credential, { role })).body;
  const person = { code, name: `${role}${from}`, password: PASSWORD };
  return String((await ask('POST', '/users/register', '', person)).body['token']);
}

function when(condition: string): string {
  return `permit(principal, action, resource) when { ${condition} };`;
}

async function tryText(text: string, count = 1): Promise<Answer> {
  const expectations = Array.from({ length: count }, (_unused, at) => ({
    caller: `n${at}`,
    service: `s${at}`,
    allowed: true,
  }));
  return await ask('POST', '/policy-tests', operator, { name: 'tried', text, expectations });
}

describe('an operator with hostile policies', () => {
  const texts: readonly (readonly [string, string])[] = [
    ['brackets', when(`${'('.repeat(8_000)}true`)],
    ['brackets behind a comment', when(`//\r${'('.repeat(7_000)}true${')'.repeat(7_000)}`)],
    ['chains', when(`${'principal.relay || '.repeat(600)}true`)],
    ['sums', when(`1 == ${'1 + '.repeat(900)}1`)],
    ['attributes', when(`principal${'.relay'.repeat(900)}`)],
    ['signs', when(`1 == ${'- '.repeat(1_900)}1`)],
    ['not not', when(`${'! '.repeat(1_900)}true`)],
    ['conditions', `permit(principal, action, resource) ${'unless { principal.relay } '.repeat(400)};`],
    ['alternatives', when(`${'if principal.relay then '.repeat(100)}true${' else true'.repeat(100)}`)],
    ['sets', when(`[${'[1],'.repeat(3_000)}1].contains(1)`)],
    ['patterns', when(`"${'a'.repeat(7_900)}" like "*${'a'.repeat(7_800)}b"`)],
    ['stars', when(`principal.posture.os like "${'*a'.repeat(4_000)}"`)],
    ['quotes', '\\"'.repeat(8_000)],
    ['annotations', `@id("permit(") @permit("forbid") ${when('true')}`],
    ['annotations without end', `@a("${'\\'.repeat(15_000)}`],
    ['characters of other directions', when('principal in X0::Group::"\u202e\u0000\u2066"')],
    ['escapes', when(String.raw`principal in X0::Group::"\u{10ffff}\u{0}"`)],
    ['half characters', when('principal in X0::Group::"\ud800"')],
  ];

  test.each(texts)('made of %s is answered at once, and nobody else notices', async (_what, text) => {
    const startMs = performance.now();
    const tried = await tryText(text, 3);
    const tookMs = performance.now() - startMs;
    const put = await ask('PUT', '/policies/hostile', control.credential, { text });
    expect([tried.status < 500, put.status < 500, tookMs < 2_000]).toEqual([true, true, true]);
    expect((await ask('GET', '/status', operator)).status).toBe(200);
    expect((await ask('POST', '/nodes/none/revoke', operator)).status).toBe(404);
    expect((await tryText(when('true'))).body).toMatchObject({ passed: true });
    await ask('DELETE', '/policies/hostile', control.credential);
  });

  test('that ask for as much as they may do not keep others waiting', { timeout: 60_000 }, async () => {
    const statement = when(`${'principal.posture.os == "a" || '.repeat(45)}principal.relay`);
    const state = { isDone: false };
    const tried = tryText(Array.from({ length: 4 }, () => statement).join('\n'), 200).finally(() => {
      state.isDone = true;
    });
    const waits: number[] = [];
    while (!state.isDone) {
      const startMs = performance.now();
      expect((await ask('GET', '/status', operator)).status).toBe(200);
      waits.push(performance.now() - startMs);
    }
    const answer = await tried;
    expect([200, 422]).toContain(answer.status);
    expect([undefined, 'POLICY_TOO_COMPLEX']).toContain(codeOf(answer));
    const sorted = waits.toSorted((a, b) => a - b);
    process.stderr.write(`meanwhile ${waits.length} reads, the longest ${sorted.at(-1)?.toFixed(0)} ms\n`);
    expect(waits.length).toBeGreaterThan(2);
  });
});

test('why something was decided is told to nobody without that right', async () => {
  const viewer = await createPerson('viewer');
  const denied = await ask('POST', '/nodes/oslo/revoke', viewer);
  const { decision } = (denied.body['error'] as { details: { decision: string } }).details;
  const made = await ask('POST', '/api-keys', viewer, { name: 'k', actions: ['status:read'] });
  const narrow = String(made.body['token']);
  for (const path of [`/decisions/${decision}`, `/decisions/${'0'.repeat(32)}`, '/decisions?caller=a&service=b']) {
    expect(codeOf(await ask('GET', path, ''))).toBe('CREDENTIAL_WRONG');
    expect(codeOf(await ask('GET', path, narrow))).toBe('ACTION_DENIED');
  }
  // Decisions about the API are in the audit log only.
  expect(codeOf(await ask('GET', `/decisions/${decision}`, operator))).toBe('DECISION_UNKNOWN');
  for (const token of [viewer, operator]) expect(codeOf(await ask('GET', '/audit', token))).toBe('ACTION_DENIED');
});
