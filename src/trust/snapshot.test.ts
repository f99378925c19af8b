import { createHash } from 'node:crypto';
import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesEqual } from '#kernel/bytes.ts';
import {
  decodeSnapshotBody,
  encodeSnapshotBody,
  SNAPSHOT_FUTURE_LIMIT_MS,
  SNAPSHOT_LIMIT_BYTES,
  snapshotMessage,
  verifySnapshot,
} from '#trust/snapshot.ts';
import type { SnapshotBody, SnapshotHeader, SnapshotMark, SnapshotPorts } from '#trust/snapshot.ts';

const body: SnapshotBody = {
  format: 2,
  trustDomain: 'x0tta6bl4.mesh',
  nodes: [
    {
      name: 'oslo',
      relay: true,
      addresses: ['127.0.0.1:7101', '[::1]:7101'],
      labels: { site: 'n' },
      links: ['rome'],
      posture: { version: '1.2.3', os: 'linux', health: 'down', seenAtMs: 7 },
    },
  ],
  policies: [{ id: 'all', text: 'permit(principal, action, resource);' }],
  policySchema: 1,
  services: [{ name: 'hello', instances: [{ node: 'oslo', host: '127.0.0.1', port: 80, proxyProtocol: false }] }],
  forwards: [{ node: 'oslo', service: 'hello', host: '127.0.0.1', port: 5432 }],
  revocations: [{ spiffeId: 'spiffe://x0tta6bl4.mesh/node/rome', serial: '4a', epoch: 1 }],
  issuers: [Uint8Array.of(1, 2)],
  roots: [Uint8Array.of(3)],
};
const bytes = encodeSnapshotBody(body);
const ports: SnapshotPorts = {
  wallMs: 1_000_000,
  sha256,
  verifySigner: (signerHash, _issuedAtMs, message, signature) => bytesEqual(signature, sign(signerHash, message)),
};

function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(data).digest());
}

/** Stands for a signature: what only the holder of `signerHash` could make. */
function sign(signerHash: Uint8Array, message: Uint8Array): Uint8Array {
  return sha256(Uint8Array.of(...signerHash, ...message));
}

function headerOf(content: Uint8Array, version = 5, issuedAtMs = 999_000): SnapshotHeader {
  const mark: SnapshotMark = { version, bodyHash: sha256(content), issuedAtMs };
  const signerHash = Uint8Array.of(9);
  return { ...mark, signerHash, signature: sign(signerHash, snapshotMessage(mark)) };
}

describe('a snapshot', () => {
  test('is read back as it was written', () => {
    expect(decodeSnapshotBody(bytes)).toEqual({ ok: true, value: body });
  });

  test('has golden bytes', () => {
    expect(sha256(bytes).toHex()).toBe('eb7ab156d2e951a4849803df7d96c7dc6aa52b49236eba4bd78f582b36f8076c');
  });

  test('of format 1 is read, and has no policies, whatever it says of them', () => {
    const old = decodeSnapshotBody(encode({ ...body, format: 1 }));
    expect(old).toMatchObject({ ok: true, value: { format: 1, services: body.services } });
    expect(old.ok && old.value.policies).toBeUndefined();
  });

  test('has golden bytes for its signed message', () => {
    const message = snapshotMessage({ version: 1, bodyHash: new Uint8Array(2), issuedAtMs: 3 });
    expect(message.toHex()).toBe('78302f736e617073686f742f7631009301c402000003');
  });

  test('is believed when signed, newer and whole', () => {
    const last = { version: 4, bodyHash: Uint8Array.of(1), issuedAtMs: 0 };
    expect(verifySnapshot(headerOf(bytes), bytes, ports, last)).toEqual({ ok: true, value: body });
  });

  test('may be signed again later under the same version', () => {
    expect(verifySnapshot(headerOf(bytes, 5, 999_500), bytes, ports, headerOf(bytes)).ok).toBe(true);
  });

  test.each<[string, SnapshotHeader, Uint8Array, SnapshotMark | undefined]>([
    ['SNAPSHOT_ROLLBACK', headerOf(bytes, 4), bytes, headerOf(bytes)],
    ['SNAPSHOT_ROLLBACK', headerOf(bytes, 5, 998_999), bytes, headerOf(bytes)],
    ['SNAPSHOT_FORKED', headerOf(Uint8Array.of(1)), Uint8Array.of(1), headerOf(bytes)],
    ['SNAPSHOT_FUTURE', headerOf(bytes, 5, ports.wallMs + SNAPSHOT_FUTURE_LIMIT_MS + 1), bytes, undefined],
    ['SNAPSHOT_WRONG_HASH', headerOf(bytes), bytes.slice(1), undefined],
    ['SNAPSHOT_BAD_SIGNATURE', { ...headerOf(bytes), signature: Uint8Array.of(1) }, bytes, undefined],
    ['SNAPSHOT_BAD_SIGNATURE', { ...headerOf(bytes), version: 6 }, bytes, undefined],
    ['SNAPSHOT_TOO_BIG', headerOf(bytes), new Uint8Array(SNAPSHOT_LIMIT_BYTES + 1), undefined],
  ])('is refused with %s', (code, header, content, last) => {
    expect(verifySnapshot(header, content, ports, last)).toEqual({ ok: false, error: code });
  });

  test('of version 99 is refused by name', () => {
    const future = encode({ ...body, format: 99 });
    expect(verifySnapshot(headerOf(future), future, ports, undefined)).toEqual({
      ok: false,
      error: 'SNAPSHOT_UNKNOWN_FORMAT',
    });
  });

  test.each<[string, unknown]>([
    ['a number', 1],
    ['an array', []],
    ['no format', {}],
    ['a bad name', { ...body, nodes: [{ ...body.nodes[0], name: 'Oslo' }] }],
    ['a bad port', { ...body, forwards: [{ ...body.forwards[0], port: 0 }] }],
    ['a missing field', { ...body, issuers: undefined }],
    ['no policies', { ...body, policies: undefined }],
    ['a policy without text', { ...body, policies: [{ id: 'all' }] }],
    ['a posture that is none', { ...body, nodes: [{ ...body.nodes[0], posture: 1 }] }],
  ])('that holds %s is malformed', (_what, value) => {
    expect(decodeSnapshotBody(encode(value))).toEqual({ ok: false, error: 'SNAPSHOT_MALFORMED' });
  });

  test('keeps its reader total whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (junk) => {
        expect(decodeSnapshotBody(junk)).toHaveProperty('ok');
      }),
    );
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const flipped = bytes.slice();
        flipped[at] = value;
        expect(decodeSnapshotBody(flipped)).toHaveProperty('ok');
      }),
    );
  });

  test('truncated anywhere is refused', () => {
    for (let length = 0; length < bytes.length; length++)
      expect(decodeSnapshotBody(bytes.slice(0, length)).ok).toBe(false);
  });
});
