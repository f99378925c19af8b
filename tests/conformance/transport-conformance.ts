import { afterEach, describe, expect, test } from 'vitest';

/** One end of a transport under a tunnel, as its adapter offers it. */
export interface ConformingEnd {
  /** Gives bytes to the transport, which may take them long before they arrive. */
  write(bytes: Uint8Array): void;
  /** Whether the transport asks its writer to wait. */
  isFull(): boolean;
  /** What has arrived so far. */
  got(): Uint8Array;
  /** Whether the program was told that the transport is over. */
  isClosed(): boolean;
  /** What arrives is left unread, or read again. */
  setReading(isReading: boolean): void;
  /** Everything that was written arrives, then the end. */
  finish(): void;
  /** The end, at once. */
  reset(): void;
}

/** Two joined ends, and the way between them. */
export interface ConformingPair {
  readonly near: ConformingEnd;
  readonly far: ConformingEnd;
  /** From now on nothing passes, either way, and nobody is told; or it passes again. */
  setBlocked(isBlocked: boolean): void;
  /** Lets time pass until `isDone`; throws when that takes too long. */
  until(isDone: () => boolean): Promise<void>;
  /** Lets so much time pass. */
  wait(ms: number): Promise<void>;
  close(): void;
}

const PIECE_BYTES = 1_000;
/** More than any buffer of a transport. */
const MAX_WRITES = 200_000;
const WAIT_MS = 300;

function bytesFrom(offset: number, length: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => ((offset + i) * 31 + ((offset + i) >>> 8)) & 0xff);
}

/** What every transport under a tunnel does, the real one and the simulated: each case runs on a pair of its own. */
export function describeTransport(name: string, open: () => Promise<ConformingPair>): void {
  describe(`${name}: a transport`, () => {
    let pair: ConformingPair;

    afterEach(() => pair.close());

    function write(total: number): Uint8Array {
      for (let at = 0; at < total; at += PIECE_BYTES) pair.near.write(bytesFrom(at, Math.min(PIECE_BYTES, total - at)));
      return bytesFrom(0, total);
    }

    test('brings bytes once and in order, however they were cut', async () => {
      pair = await open();
      const sent = write(123_456);
      await pair.until(() => pair.far.got().byteLength >= sent.byteLength);
      await pair.wait(WAIT_MS);
      expect(pair.far.got()).toEqual(sent);
      expect(pair.near.got().byteLength).toBe(0);
    });

    test('brings everything that was written before its end, then the end', async () => {
      pair = await open();
      const sent = write(50_000);
      pair.near.finish();
      await pair.until(() => pair.far.isClosed());
      expect(pair.far.got()).toEqual(sent);
    });

    test('may drop what it had taken when it is reset, but nothing in the middle', async () => {
      pair = await open();
      write(400_000);
      pair.near.reset();
      await pair.until(() => pair.far.isClosed());
      const got = pair.far.got();
      expect(got).toEqual(bytesFrom(0, got.byteLength));
      pair.near.write(bytesFrom(0, 10));
      await pair.wait(WAIT_MS);
      expect(pair.far.got()).toEqual(got);
    });

    test('takes bytes that do not arrive while the way is blocked, and tells nobody', async () => {
      pair = await open();
      pair.setBlocked(true);
      const sent = write(10_000);
      await pair.wait(WAIT_MS);
      expect(pair.far.got().byteLength).toBe(0);
      expect([pair.near.isClosed(), pair.far.isClosed()]).toEqual([false, false]);
      pair.setBlocked(false);
      await pair.until(() => pair.far.got().byteLength >= sent.byteLength);
      expect(pair.far.got()).toEqual(sent);
    });

    test('asks its writer to wait while nobody reads, and loses nothing by it', async () => {
      pair = await open();
      pair.far.setReading(false);
      let written = 0;
      for (let i = 0; i < MAX_WRITES && !pair.near.isFull(); i++) {
        pair.near.write(bytesFrom(written, PIECE_BYTES));
        written += PIECE_BYTES;
        if (i % 100 === 99) await pair.wait(1);
      }
      expect(pair.near.isFull()).toBe(true);
      pair.far.setReading(true);
      await pair.until(() => pair.far.got().byteLength >= written);
      expect(pair.far.got()).toEqual(bytesFrom(0, written));
      await pair.until(() => !pair.near.isFull());
    });

    test('whose other end was reset is over for both', async () => {
      pair = await open();
      write(100);
      await pair.until(() => pair.far.got().byteLength === 100);
      pair.far.reset();
      await pair.until(() => pair.near.isClosed());
      expect(pair.near.got().byteLength).toBe(0);
    });
  });
}
