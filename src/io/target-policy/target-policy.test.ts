import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';
import { TargetPolicy } from './target-policy.ts';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  localhost: ['::1', '127.0.0.1'],
  'db.example': ['10.1.2.3'],
  'metadata.example': ['169.254.169.254'],
  'rebound.example': ['127.0.0.1'],
  'both.example': ['10.9.9.9', '10.1.2.3'],
};

function policyOf(...patterns: string[]): TargetPolicy {
  return new TargetPolicy({
    patterns,
    ownPorts: () => [1080, 7201],
    resolve: (host) => Promise.resolve(NAMES[host.toLowerCase()] ?? []),
  });
}

async function verdict(policy: TargetPolicy, host: string, port = 5432): Promise<string> {
  const pinned = await policy.pin(host, port);
  return pinned.ok ? pinned.value.host : pinned.error.code;
}

describe('without patterns only loopback is dialled', () => {
  const policy = policyOf();

  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['127.8.8.8', '127.8.8.8'],
    ['::1', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['localhost', '::1'],
  ])('%s is dialled as %s', async (host, expected) => {
    expect(await verdict(policy, host)).toBe(expected);
  });

  test.each([
    '10.0.0.1',
    '169.254.169.254',
    '0.0.0.0',
    '::',
    '::ffff:0.0.0.0',
    '::ffff:10.0.0.1',
    '::ffff:a9fe:a9fe',
    'fe80::1',
    'fe80::1%lo',
    '2130706433',
    '0x7f000001',
    '017700000001',
    '0177.0.0.1',
    '127.1',
    '0x7f.1',
    '127.0.0.1.',
    '127.0.0.1 ',
    'db.example',
    'a b',
    '',
    'x'.repeat(300),
    '[::1]',
    'localhost\0',
  ])('%j is not', async (host) => {
    expect(await verdict(policy, host)).toBe('TARGET_NOT_ALLOWED');
  });

  test('a name without an address is told apart', async () => {
    expect(await verdict(policy, 'nowhere.example')).toBe('TARGET_UNKNOWN_HOST');
  });

  test('the other address of a name is kept for when the first does not answer', async () => {
    const pinned = await policy.pin('localhost', 80);
    expect(pinned).toEqual({ ok: true, value: { host: '::1', port: 80, alternatives: ['127.0.0.1'] } });
  });

  test.each([0, -1, 65_536, 1.5, Number.NaN])('port %d is none', async (port) => {
    expect(await verdict(policy, '127.0.0.1', port)).toBe('TARGET_NOT_ALLOWED');
  });
});

test('the ports of x0 itself are never dialled, at no address of this host', async () => {
  const policy = policyOf('*:*', '127.0.0.0/8:*', 'localhost:*');
  expect(await verdict(policy, '127.0.0.1', 1080)).toBe('TARGET_NOT_ALLOWED');
  expect(await verdict(policy, 'localhost', 7201)).toBe('TARGET_NOT_ALLOWED');
  for (const { address } of Object.values(networkInterfaces()).flatMap((each) => each ?? [])) {
    expect(await verdict(policy, address, 1080)).toBe('TARGET_NOT_ALLOWED');
  }
  expect(await verdict(policy, '10.255.255.1', 1080)).toBe('10.255.255.1');
});

const OWN_PORT: unknown = expect.stringContaining('port of x0 itself');
const NOT_PERMITTED: unknown = expect.stringContaining('--allow-target');
const UNUSABLE: unknown = expect.stringContaining('nothing can permit it');

async function refusalOf(host: string, port: number): Promise<unknown> {
  const pinned = await policyOf('10.0.0.0/8:*').pin(host, port);
  return pinned.ok ? undefined : pinned.error;
}

test('a refusal says whether an --allow-target could change it', async () => {
  expect(await refusalOf('127.0.0.1', 1080)).toMatchObject({ why: OWN_PORT, isPermittable: false });
  expect(await refusalOf('127.0.0.1', 80)).toMatchObject({ why: NOT_PERMITTED, isPermittable: true });
  expect(await refusalOf('0.0.0.0', 80)).toMatchObject({ why: UNUSABLE, isPermittable: false });
  expect(await refusalOf('nowhere.example', 80)).toMatchObject({ code: 'TARGET_UNKNOWN_HOST', isPermittable: false });
});

describe('patterns', () => {
  test('a network with a port allows that network and port', async () => {
    const policy = policyOf('10.1.0.0/16:5432');
    expect(await verdict(policy, '10.1.2.3')).toBe('10.1.2.3');
    expect(await verdict(policy, 'db.example')).toBe('10.1.2.3');
    expect(await verdict(policy, '10.1.2.3', 22)).toBe('TARGET_NOT_ALLOWED');
    expect(await verdict(policy, '10.2.0.1')).toBe('TARGET_NOT_ALLOWED');
    expect(await verdict(policy, '127.0.0.1')).toBe('TARGET_NOT_ALLOWED');
  });

  test('of a name’s addresses those that are allowed are dialled', async () => {
    expect(await verdict(policyOf('10.1.0.0/16:5432'), 'both.example')).toBe('10.1.2.3');
  });

  test('a name vouches for where it leads, but not to this host or to link-local addresses', async () => {
    const policy = policyOf('db.example:5432', 'metadata.example:80', 'rebound.example:5432');
    expect(await verdict(policy, 'DB.example')).toBe('10.1.2.3');
    expect(await verdict(policy, 'metadata.example', 80)).toBe('TARGET_NOT_ALLOWED');
    expect(await verdict(policy, 'rebound.example')).toBe('TARGET_NOT_ALLOWED');
  });

  test('any address means any but link-local ones, which need their own pattern', async () => {
    expect(await verdict(policyOf('*:80'), '169.254.169.254', 80)).toBe('TARGET_NOT_ALLOWED');
    expect(await verdict(policyOf('*:80'), '192.0.2.1', 80)).toBe('192.0.2.1');
    expect(await verdict(policyOf('169.254.7.0/24:80'), '169.254.7.1', 80)).toBe('169.254.7.1');
  });

  test('IPv6 networks work', async () => {
    expect(await verdict(policyOf('[fd00::/8]:*'), 'fd12::1')).toBe('fd12::1');
  });

  test.each([
    '10.0.0.0/33:1',
    '10.0.0.1',
    ':80',
    'a b:80',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '[::1:80',
    'x/8:80',
    '1.2.3.4/:80',
    '1.2.3.4/8/8:1',
  ])('%s cannot be read', (pattern) => {
    expect(() => policyOf(pattern)).toThrow(RangeError);
  });
});
