import { Detector } from '#mesh/detector/detector.ts';
import { fakeDetectorPorts, fakeKeys } from '#mesh/detector/fake-detectors.ts';
import {
  decodeProbe,
  encodeProbe,
  type Probe,
  PROBE_BYTES,
  readDiscriminator,
  SIGNED_BYTES,
} from '#mesh/detector/probe.ts';
import { check, checkSame, type FuzzTarget } from '../fuzz-target.ts';

const ports = fakeDetectorPorts();
const keys = fakeKeys('a');

/** A probe as the other side of the fuzzed detector would send it. */
function seal(probe: Probe): Uint8Array {
  const signed = encodeProbe(probe);
  const bytes = new Uint8Array(PROBE_BYTES);
  bytes.set(signed);
  bytes.set(ports.sign(keys.sendKey, signed), SIGNED_BYTES);
  return bytes;
}

const PROBE: Probe = {
  state: 1,
  diagnostic: 0,
  lateMs: 20,
  intervalMs: 100,
  lossRatio: 0.5,
  discriminator: keys.sendDiscriminator,
  sequence: 1n,
  highest: 0n,
  sentUs: 0,
  echoUs: 0,
  heldUs: 0,
};

export const probe: FuzzTarget = {
  name: 'probe',
  corpus: () => [
    seal(PROBE),
    seal({ ...PROBE, state: 2, sequence: 2n ** 63n, highest: 7n, sentUs: 2 ** 32 - 1, echoUs: 5, heldUs: 9 }),
    seal({ ...PROBE, state: 3, sequence: 2n ** 64n - 1n, diagnostic: 3, intervalMs: 65_535, lossRatio: 1 }),
  ],
  run(input) {
    const detector = new Detector<string>(ports, { intervalMs: 100, multiplier: 3 }, 0);
    detector.watch({ id: 1, keys: fakeKeys('b'), to: undefined }, 0);
    detector.handleProbe(input, 'anywhere', 1);
    let sentBytes = 0;
    for (let output = detector.poll(); output !== undefined; output = detector.poll())
      if (output.kind === 'send') sentBytes += output.bytes.byteLength;
    check(sentBytes <= input.byteLength, 'no answer is larger than its question');
    detector.handleDeadline(10_000, 0);
    if (!readDiscriminator(input).ok) {
      check(sentBytes === 0, 'no answer to what is no probe');
      return false;
    }
    const decoded = decodeProbe(input);
    if (decoded !== undefined) checkSame(hexOf(encodeProbe(decoded), 44), hexOf(input, 44), 'again');
    return sentBytes > 0;
  },
};

/** The fields; bytes 44–47 are not kept. */
function hexOf(bytes: Uint8Array, length: number): string {
  return Uint8Array.from(bytes.subarray(0, length)).toHex();
}
