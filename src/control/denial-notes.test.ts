import { expect, test } from 'vitest';
import type { AuditNote } from '#control/audit/audit.ts';
import { DenialNotes } from '#control/denial-notes.ts';
import type { ReportedDenial } from '#control/report.ts';

function denials(count: number): readonly ReportedDenial[] {
  return Array.from({ length: count }, (_, at) => {
    const id = at.toString(16).padStart(32, '0');
    return { id, caller: 'oslo', service: 'db', policies: '', snapshotVersion: 1, at: '2026-01-01T00:00:00.000Z' };
  });
}

test('ten thousand denials a second of one node take no more of the log than 32 a second, and the rest is counted', async () => {
  const notes: AuditNote[] = [];
  let nowMs = 0;
  const record = async (note: AuditNote): Promise<void> => void notes.push(note);
  const denied = new DenialNotes({ record }, () => nowMs);
  for (let report = 0; report < 3_125; report++) {
    nowMs = report * 3.2;
    await denied.handle('rome', denials(32), 7);
  }
  expect(notes.length).toBeGreaterThan(32 * 9);
  expect(notes.length).toBeLessThan(32 * 10 + 64 + 1);
  nowMs += 60_000;
  await denied.handle('rome', denials(1), 7);
  expect(notes.at(-1)?.detail).toMatchObject({ node: 'rome', dropped: 7, unrecorded: 100_000 - (notes.length - 1) });
});

test('of a report that meets a full log what was refused is recorded with the next one', async () => {
  const recorded: string[] = [];
  let left = 5;
  const record = async (note: AuditNote): Promise<void> => {
    if (left-- <= 0) throw new Error('AUDIT_BUSY');
    recorded.push(String(note.detail?.['decision']));
  };
  const denied = new DenialNotes({ record }, () => 0);
  await denied.handle('rome', denials(20), 0);
  expect(recorded).toHaveLength(5);
  left = 100;
  await denied.handle('rome', [], 0);
  expect(recorded.toSorted()).toEqual(denials(20).map(({ id }) => id));
});
