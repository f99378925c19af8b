import { expect, test } from 'vitest';
import { Conduit } from '#mesh/conduit/conduit.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import { describeStream } from './describe-stream.ts';

const MOVED_MS = Date.UTC(2026, 10, 22, 18);

/** A stream that moved from the first way to the second; hops lead away from the node that describes it. */
function movedStream(direction: 'out' | 'in', first: readonly string[], second: readonly string[]): ConduitHandle {
  const stream = new ConduitHandle(1, direction, 'db', 0, new Conduit('00', 0));
  stream.hops = first;
  stream.beginMove('LINK_LOST', 100);
  stream.hops = second;
  stream.endMove(103, MOVED_MS);
  return stream;
}

test('a client names both ways of a move, with itself, as it names the path', () => {
  const stream = movedStream('out', ['rome', 'lima'], ['delhi', 'lima']);
  expect(describeStream(stream, 'oslo', () => true)).toMatchObject({
    path: ['oslo', 'delhi', 'lima'],
    protected: true,
    moves: [
      {
        from: ['oslo', 'rome', 'lima'],
        to: ['oslo', 'delhi', 'lima'],
        reason: 'LINK_LOST',
        gapMs: 3,
        at: '2026-11-22T18:00:00.000Z',
      },
    ],
  });
});

test('a server names the ways of a move from the client to itself, as it names the path', () => {
  const stream = movedStream('in', ['rome', '…', 'oslo'], ['delhi', '…', 'oslo']);
  const described = describeStream(stream, 'lima', () => true);
  expect(described).toMatchObject({
    path: ['oslo', '…', 'delhi', 'lima'],
    moves: [{ from: ['oslo', '…', 'rome', 'lima'], to: ['oslo', '…', 'delhi', 'lima'] }],
  });
  expect(described).not.toHaveProperty('protected');
});

test('only the last four moves are shown, and all are counted', () => {
  const stream = movedStream('out', ['rome', 'lima'], ['delhi', 'lima']);
  for (let move = 0; move < 5; move++) {
    stream.beginMove('LINK_LOST', 200);
    stream.endMove(200, MOVED_MS + move);
  }
  const { moveCount, moves } = describeStream(stream, 'oslo', () => false);
  expect([moveCount, moves]).toEqual([6, expect.objectContaining({ length: 4 })]);
});
