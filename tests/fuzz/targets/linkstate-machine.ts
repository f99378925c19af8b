import { FakeNetwork, START_WALL_MS } from '#mesh/linkstate/fake-network.ts';
import type { LinkState } from '#mesh/linkstate/linkstate.ts';
import { sha256 } from '../../fixtures/diamond-net.ts';
import { check, type FuzzTarget } from '../fuzz-target.ts';

const MOST_OUTPUTS = 1_000;

/** All that a node says to its neighbour after link-up; a neighbour that lies about it gets no more than answers. */
function heard(): { readonly victim: LinkState; readonly messages: Uint8Array[] } {
  const net = new FakeNetwork(sha256);
  net.add('rome');
  const liar = net.add('oslo');
  const victim = net.add('lima');
  net.link('rome', 'oslo');
  net.run(1_000);
  victim.handleLinkUp('oslo', net.nowMs, net.wallMs, 1);
  liar.handleLinkUp('lima', net.nowMs, net.wallMs, 1);
  const messages: Uint8Array[] = [];
  for (let output = liar.poll(); output !== undefined; output = liar.poll())
    if (output.kind === 'send' && output.peer === 'lima') messages.push(output.message);
  return { victim, messages };
}

let victim = heard().victim;
let inputs = 0;

export const linkstateMachine: FuzzTarget = {
  name: 'linkstate-machine',
  corpus: () => heard().messages,
  run(input) {
    // A new one now and then, so that what it has learnt does not hide everything.
    if (inputs++ % 500 === 0) ({ victim } = heard());
    const nowMs = 2_000 + inputs;
    victim.handleMessage('oslo', input, nowMs, START_WALL_MS + nowMs);
    if (inputs % 50 === 0) victim.handleDeadline(nowMs, START_WALL_MS + nowMs);
    let outputs = 0;
    while (victim.poll() !== undefined) outputs++;
    check(outputs < MOST_OUTPUTS, 'answers are in proportion');
    check(
      victim.path('rome').primary === undefined || victim.path('rome').primary?.hops.at(-1) === 'rome',
      'paths end',
    );
    return true;
  },
};
