import { setTimeout as sleep } from 'node:timers/promises';
import { readArray, readRecord, readShape } from '#trust/read.ts';
import { CodedError } from '#control/coded-error.ts';
import { ControlChannel } from '#io/control-client/control-channel.ts';
import type { ChannelOptions } from '#io/control-client/control-channel.ts';
import { checkOwnCertificate } from '#io/control-client/enrolment.ts';
import { readBase64 } from '#io/control-https/session-lines.ts';
import { systemRandom } from '#io/random-node/system-random.ts';
import { BACKDATE_MS, describeCertificate } from '#io/x509-asn1/certificate.ts';
import type { Certificate } from '#io/x509-asn1/certificate.ts';
import { certifiedIssuers } from '#io/x509-asn1/chain.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import type { KeyPair } from '#io/x509-asn1/keys.ts';
import { createCsr } from '#io/x509-asn1/request.ts';

/** A new SVID with its new key. */
export interface RenewedIdentity {
  readonly certificate: Certificate;
  readonly keys: KeyPair;
  /** DER. */
  readonly issuers: readonly Uint8Array[];
}

/** Asks for a new SVID for a new key, proving the present one in the handshake. Fails as {@link ControlChannel.ask} does. */
export async function renewIdentity(options: ChannelOptions & { readonly name: string }): Promise<RenewedIdentity> {
  const channel = new ControlChannel(options);
  try {
    const keys = generateKeyPair('ml-dsa-65');
    const csr = createCsr(keys).toBase64();
    const answer = readShape(await channel.ask('POST', '/v1/renew', { csr }), readAnswer);
    if (answer === undefined) throw new CodedError('CONTROL_ANSWER', 'the control plane answered in another shape');
    const { name, trustDomain, roots } = options;
    const wallMs = options.wallMs();
    const issuers = certifiedIssuers(answer.issuers, roots, wallMs);
    checkOwnCertificate(answer.certificate, issuers, { keys, name, trustDomain, wallMs });
    return { certificate: describeCertificate(answer.certificate), keys, issuers };
  } finally {
    channel.close();
  }
}

export interface RenewalLoopOptions {
  readonly current: () => { readonly notBeforeMs: number; readonly notAfterMs: number };
  readonly renew: () => Promise<RenewedIdentity>;
  readonly onRenewed: (identity: RenewedIdentity) => void;
  readonly onFailure: (error: Error) => void;
  readonly signal: AbortSignal;
}

/** After a failure the next try comes in this time, or in a tenth of what is left, whichever is sooner. */
const RETRY_MS = 60_000;
const RETRY_LEAST_MS = 1_000;
const TIMER_LIMIT_MS = 2 ** 31 - 1;

/** Renews at half life with jitter, for ever, until `signal`. */
export async function runRenewal(options: RenewalLoopOptions): Promise<void> {
  const { signal, current } = options;
  let waitMs = untilHalfLifeMs(current());
  while (await pause(waitMs, signal)) {
    try {
      options.onRenewed(await options.renew());
      waitMs = untilHalfLifeMs(current());
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      options.onFailure(error);
      const leftMs = (current().notAfterMs - Date.now()) / 10;
      waitMs = Math.max(RETRY_LEAST_MS, Math.min(RETRY_MS, leftMs)) * (1 + systemRandom.fraction());
    }
  }
}

/** From now to between 45 % and 55 % of the certificate's life, which began when it was made, not when it was backdated to. */
function untilHalfLifeMs(certificate: { readonly notBeforeMs: number; readonly notAfterMs: number }): number {
  const madeMs = certificate.notBeforeMs + BACKDATE_MS;
  const atMs = madeMs + (certificate.notAfterMs - madeMs) * (0.45 + 0.1 * systemRandom.fraction());
  return Math.min(TIMER_LIMIT_MS, Math.max(RETRY_LEAST_MS, atMs - Date.now()));
}

async function pause(waitMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(waitMs, undefined, { signal, ref: false });
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}

function readAnswer(value: unknown): { certificate: Uint8Array; issuers: readonly Uint8Array[] } {
  const record = readRecord(value);
  return { certificate: readBase64(record['certificate']), issuers: readArray(record['issuers'], 16, readBase64) };
}
