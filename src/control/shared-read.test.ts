import { expect, test } from 'vitest';
import { SharedRead } from './shared-read.ts';

/** Reads that end when they are told to. */
function controlled() {
  const begun: PromiseWithResolvers<number>[] = [];
  const reads = new SharedRead(async () => {
    const made = Promise.withResolvers<number>();
    begun.push(made);
    return await made.promise;
  });
  return { begun, reads };
}

test('who asks while a read is under way gets the next one, together with the others', async () => {
  const { begun, reads } = controlled();
  const first = reads.read();
  const later = [reads.read(), reads.read(), reads.read()];
  expect(begun).toHaveLength(1);
  begun[0]?.resolve(1);
  expect(await first).toBe(1);
  await expect.poll(() => begun.length).toBe(2);
  const last = reads.read();
  begun[1]?.resolve(2);
  expect(await Promise.all(later)).toEqual([2, 2, 2]);
  await expect.poll(() => begun.length).toBe(3);
  begun[2]?.resolve(3);
  expect(await last).toBe(3);
});

test('a read that fails is told to those who asked for it, and to nobody else', async () => {
  const { begun, reads } = controlled();
  const first = reads.read();
  const second = reads.read();
  begun[0]?.reject(new Error('down'));
  await expect(first).rejects.toThrow('down');
  await expect.poll(() => begun.length).toBe(2);
  begun[1]?.resolve(2);
  expect(await second).toBe(2);
});
