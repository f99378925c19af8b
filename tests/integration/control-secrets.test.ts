import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { parseJoinToken } from '#trust/token.ts';
import { AdminClient } from '#io/admin-client-http/admin-client.ts';
import { enrolNode } from '#io/control-client/enrolment.ts';
import type { Enrolment } from '#io/control-client/enrolment.ts';
import { postQuantumTls } from '#io/control-https/tls-options.ts';
import { parseHostPort } from '#io/edge-listener/host-port.ts';
import { toPem } from '#io/x509-asn1/chain.ts';
import { createTestCa } from '../fixtures/test-ca.ts';
import { plainReport, startTestControl } from '../fixtures/test-control.ts';
import type { TestControl } from '../fixtures/test-control.ts';

test('no secret reaches the log of a control plane, whatever is asked of it', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'x0-secrets-'));
  const entry = join(import.meta.dirname, '../../src/apps/cli/main.ts');
  const args = ['control', '--data-dir', dataDir, '--admin', '127.0.0.1:0', '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const log = text(child.stderr);
  const client = new AdminClient(dataDir);
  await vi.waitFor(async () => client.ask('GET', '/status'), { timeout: 10_000 });
  const token = String((await client.ask('POST', '/tokens', { node: 'oslo' }))['token']);
  const enrolment = await enrolNode({ token });
  await expect(enrolNode({ token })).rejects.toMatchObject({ code: 'TOKEN_USED' });
  await expect(client.ask('POST', '/tokens', { node: token })).rejects.toMatchObject({ code: 'NAME_INVALID' });
  await client.ask('POST', '/nodes/oslo/revoke');
  const parsed = parseJoinToken(token);
  if (!parsed.ok) throw new Error(parsed.error);
  const { secret } = parsed.value;
  const credential = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
  child.kill('SIGTERM');
  const written = await log;
  expect(written).toContain(enrolment.certificate.serial);
  expect(written).toContain('TOKEN_USED');
  for (const canary of [token, credential, secret.toHex(), secret.toBase64(), 'PRIVATE KEY'])
    expect(written).not.toContain(canary);
  rmSync(dataDir, { recursive: true });
});

describe('a connection that shows several leaves', () => {
  let control: TestControl;
  let [oslo, rome]: Enrolment[] = [];
  beforeAll(async () => {
    control = await startTestControl();
    oslo = await enrolNode({ token: await control.tokenFor('oslo') });
    rome = await enrolNode({ token: await control.tokenFor('rome') });
  });
  afterAll(async () => control.stop());

  /** Reports with `leaves` as the certificate message, the first one's key proved. */
  async function reportAs(keyPem: string, leaves: readonly string[]): Promise<unknown> {
    const asked = request({
      ...parseHostPort(control.enrolment),
      ...postQuantumTls,
      method: 'POST',
      path: '/v1/report',
      headers: { 'content-type': 'application/json' },
      rejectUnauthorized: false,
      cert: leaves.join(''),
      key: keyPem,
      agent: false,
    });
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    asked.once('error', reject);
    asked.once('response', (response) => {
      text(response).then((all) => resolve(all === '' ? response.statusCode : JSON.parse(all)), reject);
    });
    asked.end(JSON.stringify(plainReport({ addresses: ['192.0.2.7:1'] })));
    return promise;
  }

  async function movedNames(): Promise<unknown> {
    const { body } = await control.ask('GET', '/api/v1/nodes');
    const nodes = (body as Record<string, { name: string; addresses: string[] }[]>)['nodes'] ?? [];
    return nodes.filter((node) => node.addresses.length > 0).map((node) => node.name);
  }

  test('is the one whose key it proved', async () => {
    if (oslo === undefined || rome === undefined) throw new Error('nobody enrolled');
    const key = rome.keys.privateKey.export({ type: 'pkcs8', format: 'pem' });
    expect(await reportAs(key, [rome.certificate.pem, oslo.certificate.pem])).toBe(204);
    expect(await movedNames()).toEqual(['rome']);
  });

  test('is nobody when that one is a stranger, with any member as filler', async () => {
    if (oslo === undefined) throw new Error('nobody enrolled');
    const stranger = await (await createTestCa()).issue({ name: 'oslo' });
    const issuers = oslo.issuers.map((der) => toPem(der));
    const answer = await reportAs(stranger.keyPem, [stranger.certPem, oslo.certificate.pem, ...issuers]);
    expect(answer).toMatchObject({ error: { code: 'CERT_UNTRUSTED' } });
    const { body } = await control.ask('GET', '/api/v1/status');
    expect(body).toMatchObject({ control: { refused: { CERT_UNTRUSTED: 1 } } });
  });
});
