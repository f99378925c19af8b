import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Listener, listenTcp } from '#io/edge-listener/tcp-listener.ts';
import { FakeOpener } from '#io/stream-splice/fake-opener.ts';
import { Counters } from '#kernel/counters.ts';
import type { SnapshotForward } from '#trust/snapshot.ts';
import { Forwards } from './edges.ts';

let occupant: Listener;
let forwards: Forwards;
let forward: SnapshotForward;

beforeEach(async () => {
  occupant = await listenTcp({ host: '127.0.0.1', port: 0 }, (socket) => socket.destroy());
  forwards = new Forwards(new FakeOpener({}), new Counters());
  forward = { node: 'oslo', service: 'hello', ...occupant.address };
});

afterEach(async () => {
  await forwards.close();
  await occupant.close();
});

test('a forward whose port is taken is a problem until a later snapshot finds it free', async () => {
  forwards.handleSnapshot([forward]);
  await vi.waitFor(() => expect(forwards.problems()).toMatchObject([{ code: 'PORT_IN_USE' }]));
  await occupant.close();
  forwards.handleSnapshot([forward]);
  await vi.waitFor(() => expect(forwards.problems()).toEqual([]));
  expect(forwards.ports()).toEqual([forward.port]);
});

test('the failure of a forward that is gone says nothing of the one that came in its place', async () => {
  forwards.handleSnapshot([forward]);
  forwards.handleSnapshot([]);
  await occupant.close();
  forwards.handleSnapshot([forward]);
  await vi.waitFor(() => expect(forwards.ports()).toEqual([forward.port]));
  forwards.handleSnapshot([forward]);
  expect(forwards.problems()).toEqual([]);
});
