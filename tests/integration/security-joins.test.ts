import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enrolNode } from '#io/control-client/enrolment.ts';
import { postQuantumTls } from '#io/control-https/tls-options.ts';
import { parseHostPort } from '#io/edge-listener/host-port.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { createCsr } from '#io/x509-asn1/request.ts';
import { startTestControl, type TestControl } from '../fixtures/test-control.ts';

/** Of one host: as many strangers as the control plane talks to at once, and four requests over each connection. */
const ADDRESSES = 250;

let control: TestControl;
let csr: string;
beforeAll(async () => {
  control = await startTestControl();
  csr = createCsr(generateKeyPair('ml-dsa-65')).toBase64();
});
afterAll(async () => control.stop());

/** `OK`, or the code of the refusal. */
async function enrol(token: unknown, agent: Agent, localAddress: string): Promise<string> {
  const asked = request({
    ...parseHostPort(control.enrolment),
    ...postQuantumTls,
    method: 'POST',
    path: '/v1/enrol',
    headers: { 'content-type': 'application/json' },
    rejectUnauthorized: false,
    agent,
    localAddress,
  });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  asked.once('error', reject);
  asked.once('response', (response) => {
    text(response).then((all) => {
      const { error } = JSON.parse(all) as { error?: { code: string } };
      resolve(error?.code ?? 'OK');
    }, reject);
  });
  asked.end(JSON.stringify({ token, csr }));
  return promise;
}

async function namesNow(): Promise<readonly string[]> {
  const { body } = await control.ask('GET', '/api/v1/nodes');
  return (body['nodes'] as unknown as readonly { name: string }[]).map(({ name }) => name);
}

test('a thousand joins at once with one token make exactly one node', { timeout: 120_000 }, async () => {
  const token = await control.tokenFor('bergen');
  const agents = Array.from({ length: ADDRESSES }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  const codes = await Promise.all(
    Array.from({ length: 1_000 }, async (_unused, at) => {
      const agent = agents[at % ADDRESSES] ?? new Agent();
      return await enrol(token, agent, `127.0.3.${(at % ADDRESSES) + 1}`);
    }),
  );
  for (const agent of agents) agent.destroy();
  expect(codes.filter((code) => code === 'OK')).toHaveLength(1);
  expect(new Set(codes)).toEqual(new Set(['OK', 'TOKEN_USED']));
  expect(await namesNow()).toEqual(['bergen']);
});

test('a token counts no more when its node was deleted or revoked, and what looks like a JWT never did', async () => {
  const agent = new Agent();
  const token = await control.tokenFor('lima');
  await enrolNode({ token });
  expect(await enrol(token, agent, '127.0.4.1')).toBe('TOKEN_USED');
  expect((await control.ask('DELETE', '/api/v1/nodes/lima')).status).toBe(204);
  expect(await enrol(token, agent, '127.0.4.2')).toBe('TOKEN_USED');
  expect(await namesNow()).not.toContain('lima');
  const claims = Buffer.from(JSON.stringify({ sub: 'lima', aud: 'other', iss: 'x0', exp: 4_102_444_800 })).toString(
    'base64url',
  );
  for (const header of [{ alg: 'none' }, { alg: 'HS256', typ: 'JWT' }, { alg: 'RS256', jwk: {} }, { alg: '' }]) {
    const jwt = `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${claims}.c2ln`;
    for (const shape of [jwt, `x0join.${jwt}`, `Bearer ${jwt}`])
      expect(await enrol(shape, agent, '127.0.4.3')).toBe('TOKEN_GARBLED');
  }
  agent.destroy();
});
