import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { REPORT_LIMIT_BYTES } from '#control/report.ts';
import { ControlChannel } from '#io/control-client/control-channel.ts';
import { enrolNode } from '#io/control-client/enrolment.ts';
import { REPLY_LIMIT_BYTES } from '#io/control-https/session-lines.ts';
import { plainReport, startTestControl } from '../../../tests/fixtures/test-control.ts';
import type { TestControl } from '../../../tests/fixtures/test-control.ts';

const PLAIN_LIMIT_BYTES = 64 * 1024;
let control: TestControl;
let member: ControlChannel;
let stranger: ControlChannel;

beforeAll(async () => {
  control = await startTestControl();
  const { trustDomain, roots, certificate, keys } = await enrolNode({ token: await control.tokenFor('oslo') });
  const common = { addresses: [control.enrolment], trustDomain, roots, wallMs: Date.now };
  const credentials = { certificateDer: certificate.der, privateKey: keys.privateKey };
  member = new ControlChannel({ ...common, credentials });
  stranger = new ControlChannel(common);
});
afterAll(async () => {
  member.close();
  stranger.close();
  await control.stop();
});

/** An object whose JSON has exactly this many bytes. */
function bodyOf(lengthBytes: number): unknown {
  return { x: 'a'.repeat(lengthBytes - JSON.stringify({ x: '' }).length) };
}

async function codeOf(channel: ControlChannel, path: string, body: unknown): Promise<string> {
  return await channel.ask('POST', path, body).then(
    () => 'OK',
    (error: { code: string }) => error.code,
  );
}

describe('a member', () => {
  test.each([
    ['/v1/report', REPORT_LIMIT_BYTES, 'REPORT_MALFORMED'],
    ['/v1/reply', REPLY_LIMIT_BYTES, 'REQUEST_INVALID'],
    ['/v1/renew', PLAIN_LIMIT_BYTES, 'REQUEST_INVALID'],
    ['/v1/enrol', PLAIN_LIMIT_BYTES, 'REQUEST_INVALID'],
  ])('may send %s %i bytes and not one more', async (path, limitBytes, read) => {
    expect(await codeOf(member, path, bodyOf(limitBytes))).toBe(read);
    expect(await codeOf(member, path, bodyOf(limitBytes + 1))).toBe('BODY_TOO_LARGE');
  });

  test('is heard after a body that was too large', async () => {
    expect(await codeOf(member, '/v1/report', bodyOf(REPORT_LIMIT_BYTES + 1))).toBe('BODY_TOO_LARGE');
    expect(await codeOf(member, '/v1/report', plainReport())).toBe('OK');
  });
});

describe('a stranger', () => {
  test.each(['/v1/report', '/v1/reply'])('is refused at %s before its body is read, however large', async (path) => {
    for (const lengthBytes of [100, REPORT_LIMIT_BYTES, REPORT_LIMIT_BYTES + 1])
      expect(await codeOf(stranger, path, bodyOf(lengthBytes))).toBe('CERT_MISSING');
  });

  test.each(['/v1/enrol', '/v1/renew'])('may send %s as much as a certificate request needs', async (path) => {
    expect(await codeOf(stranger, path, bodyOf(PLAIN_LIMIT_BYTES))).toBe('REQUEST_INVALID');
    expect(await codeOf(stranger, path, bodyOf(PLAIN_LIMIT_BYTES + 1))).toBe('BODY_TOO_LARGE');
  });
});
