import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  AUDIT_START,
  type AuditCheckpoint,
  type AuditEntry,
  canonicalJson,
  chainNotes,
  checkpointMessage,
  entryHash,
  verifyChain,
} from '#control/audit/chain.ts';

const hashing = { sha256: (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest()) };
const SIGNED = Uint8Array.of(1);
const ports = {
  ...hashing,
  isSigned: ({ signature, signerHash }: AuditCheckpoint, message: Uint8Array) =>
    signature[0] === 1 && signerHash === hashing.sha256(message).toHex(),
};

function log(length: number): readonly AuditEntry[] {
  const notes = Array.from({ length }, (_, index) => ({
    atMs: 1_000 + index,
    note: { actor: 'user:local', action: 'nodes:revoke', target: `Node:${index}`, outcome: 'done', detail: { index } },
  })) as Parameters<typeof chainNotes>[0];
  return chainNotes(notes, AUDIT_START, hashing);
}

/** A stand-in for a signature: it is good for exactly this message. */
function checkpointAt(entries: readonly AuditEntry[], seq: number): AuditCheckpoint {
  const entry = entries[seq - 1];
  if (entry === undefined) throw new Error('there is no such entry');
  const mark = { seq, hash: entryHash(entry, hashing), atMs: 9_000 };
  return { ...mark, signature: SIGNED, signerHash: hashing.sha256(checkpointMessage(mark)).toHex() };
}

/** As it comes out of a file. */
function copy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

const whole = log(12);
const checkpoints = [checkpointAt(whole, 5), checkpointAt(whole, 12)];

test('a whole log is believed, also one that goes on behind its last checkpoint, and an empty one', () => {
  expect(verifyChain(copy(whole), checkpoints, ports)).toMatchObject({ ok: true, value: { seq: 12 } });
  expect(verifyChain(copy(whole), checkpoints.slice(0, 1), ports)).toMatchObject({ ok: true });
  expect(verifyChain([], [], ports)).toMatchObject({ ok: true, value: AUDIT_START });
});

test('an entry that was edited is found, also with its hash made anew', () => {
  const edited = whole.map((entry) =>
    entry.seq === 7 ? { ...entry, body: { ...entry.body, actor: 'user:eve' } } : entry,
  );
  expect(verifyChain(edited, checkpoints, ports)).toEqual({ ok: false, error: { code: 'AUDIT_CHANGED', seq: 7 } });
  const rehashed = edited.map((entry) =>
    entry.seq === 7 ? { ...entry, bodyHash: hashing.sha256(Buffer.from(canonicalJson(entry.body))).toHex() } : entry,
  );
  expect(verifyChain(rehashed, checkpoints, ports)).toEqual({ ok: false, error: { code: 'AUDIT_CHANGED', seq: 8 } });
});

test('a log that was made anew from an edited entry on does not fit what was signed', () => {
  const notes = whole.slice(6).map(({ body }) => ({ atMs: body.atMs, note: { ...body, actor: 'user:eve' } }));
  const before = whole[5];
  if (before === undefined) throw new Error('there is no such entry');
  const forged = [...whole.slice(0, 6), ...chainNotes(notes, { seq: 6, hash: entryHash(before, hashing) }, hashing)];
  expect(verifyChain(forged, checkpoints, ports)).toEqual({ ok: false, error: { code: 'AUDIT_CHANGED', seq: 12 } });
  const own = { ...checkpointAt(forged, 12), signature: Uint8Array.of(2) };
  expect(verifyChain(forged, [own], ports)).toEqual({ ok: false, error: { code: 'AUDIT_FORGED', seq: 12 } });
});

test('a log that was cut behind what a checkpoint vouches for is found', () => {
  expect(verifyChain(whole.slice(0, 9), checkpoints, ports)).toEqual({
    ok: false,
    error: { code: 'AUDIT_CUT', seq: 10 },
  });
  expect(verifyChain([], checkpoints, ports)).toEqual({ ok: false, error: { code: 'AUDIT_CUT', seq: 1 } });
});

test('no entry can be dropped, doubled, moved or changed anywhere', () => {
  const at = fc.integer({ min: 0, max: 11 });
  fc.assert(
    fc.property(at, at, fc.constantFrom('drop', 'double', 'swap', 'time', 'previous'), (one, other, how) => {
      const entries = [...copy(whole)];
      const [first, second] = [entries[one], entries[other]];
      if (first === undefined || second === undefined) return;
      fc.pre(how !== 'swap' || one !== other);
      if (how === 'drop') entries.splice(one, 1);
      if (how === 'double') entries.splice(one, 0, first);
      if (how === 'swap') [entries[one], entries[other]] = [second, first];
      if (how === 'time') entries[one] = { ...first, body: { ...first.body, atMs: 1 } };
      if (how === 'previous') entries[one] = { ...first, previousHash: 'f'.repeat(64) };
      expect(verifyChain(entries, checkpoints, ports).ok).toBe(false);
    }),
  );
});

test('what others name cannot break the log: long, strange and half texts are kept in a form that reads back the same', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => {
      const note = {
        actor: text,
        action: text,
        target: `${text}\0\ud800`,
        outcome: 'denied',
        detail: { [text]: text },
      } as const;
      const entries = chainNotes([{ note, atMs: 1 }], AUDIT_START, hashing);
      expect(JSON.stringify(entries).length).toBeLessThan(50_000);
      expect(verifyChain(copy(entries), [], ports).ok).toBe(true);
    }),
  );
});

test('the text that is hashed does not depend on the order of keys', () => {
  expect(canonicalJson({ b: [1, { d: 'ü', c: null }], a: true })).toBe(
    canonicalJson({ a: true, b: [1, { c: null, d: 'ü' }] }),
  );
  expect(canonicalJson({ b: 'ü', a: 1 })).toBe('{"a":1,"b":"\\u00fc"}');
});
