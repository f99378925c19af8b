import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createIssuer, createRoot } from '#io/x509-peculiar/authority.ts';
import { DEFAULT_TRUST_DOMAIN } from '#trust/identity.ts';
import { startTestControl } from '../../../tests/fixtures/test-control.ts';

let whole = '';
let dataDir = '';
beforeAll(async () => {
  whole = mkdtempSync(join(tmpdir(), 'x0-whole-'));
  await (await startTestControl({ dataDir: whole })).stop();
});
afterAll(() => rmSync(whole, { recursive: true }));
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'x0-damaged-'));
  cpSync(whole, dataDir, { recursive: true });
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(dataDir, { recursive: true });
});

const at = (name: string): string => join(dataDir, name);
const codeOfStart = async (): Promise<unknown> =>
  startTestControl({ dataDir }).then(
    async (control) => {
      await control.stop();
      return 'started';
    },
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  );

test('a whole directory starts again', async () => {
  expect(await codeOfStart()).toBe('started');
});

test('keys without their database are a loss, and stay one at the next start', async () => {
  rmSync(at('x0.sqlite'));
  expect(await codeOfStart()).toBe('DATA_INCOMPLETE');
  expect(await codeOfStart()).toBe('DATA_INCOMPLETE');
  writeFileSync(at('x0.sqlite'), '');
  expect(await codeOfStart()).toBe('DATA_INCOMPLETE');
});

test('a first start that ended before there were keys is made again', async () => {
  for (const name of ['root.key', 'root.crt', 'issuer.key', 'issuer.crt']) rmSync(at(name));
  expect(await codeOfStart()).toBe('started');
});

test.each(['root.key', 'root.crt', 'issuer.key', 'issuer.crt'])('%s empty or cut short is damage', async (name) => {
  const content = readFileSync(at(name));
  writeFileSync(at(name), '');
  expect(await codeOfStart()).toBe('DATA_DAMAGED');
  writeFileSync(at(name), content.subarray(0, content.byteLength / 2));
  expect(await codeOfStart()).toBe('DATA_DAMAGED');
});

test.each([
  ['root.key', 'issuer.key'],
  ['issuer.key', 'root.key'],
  ['issuer.crt', 'root.crt'],
])('a %s that is the %s is damage', async (name, other) => {
  cpSync(at(other), at(name));
  expect(await codeOfStart()).toBe('DATA_DAMAGED');
});

test('an issuer that is the root, with its key, is damage', async () => {
  cpSync(at('root.crt'), at('issuer.crt'));
  cpSync(at('root.key'), at('issuer.key'));
  expect(await codeOfStart()).toBe('DATA_DAMAGED');
});

test('an issuer of another root is damage', async () => {
  const root = await createRoot(DEFAULT_TRUST_DOMAIN, Date.now());
  const issuer = await createIssuer(root, DEFAULT_TRUST_DOMAIN, Date.now());
  writeFileSync(at('issuer.crt'), issuer.certificate.pem);
  writeFileSync(at('issuer.key'), issuer.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  expect(await codeOfStart()).toBe('DATA_DAMAGED');
});

test('an authority whose time is over or has not come is told by the code of its certificate', async () => {
  const dayMs = 24 * 3_600_000;
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 400 * dayMs });
  expect(await codeOfStart()).toBe('CERT_EXPIRED');
  vi.setSystemTime(Date.now() - 800 * dayMs);
  expect(await codeOfStart()).toBe('CERT_NOT_YET_VALID');
});

test('an administration credential that no header can carry is made anew', async () => {
  writeFileSync(at('admin.token'), `${'a'.repeat(40)}\nb`);
  expect(await codeOfStart()).toBe('started');
  expect(readFileSync(at('admin.token'), 'utf8').trim()).toMatch(/^[\w-]{43}$/);
});
