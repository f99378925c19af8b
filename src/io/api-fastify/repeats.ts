import { createCipheriv, createDecipheriv, hash, hkdfSync, randomBytes } from 'node:crypto';
import { CodedError } from '#control/coded-error.ts';
import type { RepeatableRequest, RepeatStore } from '#control/repeats.ts';
import { DetailedError } from '#io/http-fastify/api-error.ts';

/** A request that its caller may send again. */
export interface KeyedRequest {
  /** `Idempotency-Key`. */
  readonly key: string;
  readonly principal: string;
  /** The credential; it seals the answer. */
  readonly bearer: string;
  /** Everything that makes it this request and no other. */
  readonly content: string;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const KEPT_MS = 24 * 3_600_000;
/** Longer than any request takes; then its process must have ended. */
const BUSY_MS = 60_000;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Does what is asked with one `Idempotency-Key` once, and answers the same for a day. Answers hold secrets that are kept
 * nowhere else: they are sealed (AES-256-GCM, RFC 5116) by the credential that asked, which is not kept either.
 */
export class Repeats {
  readonly #store: RepeatStore;
  readonly #wallMs: () => number;

  constructor(store: RepeatStore, wallMs: () => number) {
    this.#store = store;
    this.#wallMs = wallMs;
  }

  async answer(asked: KeyedRequest, work: () => Promise<Answer>): Promise<Answer> {
    const keyHash = hash('sha256', asked.key);
    const request = { principal: asked.principal, keyHash, bodyHash: hash('sha256', asked.content) };
    const nowMs = this.#wallMs();
    const judged = await this.#store.begin(request, nowMs, nowMs + BUSY_MS);
    if (judged === 'new') return await this.#work(request, asked, work);
    if (judged === 'busy')
      throw new DetailedError('IDEMPOTENCY_BUSY', 'the same request is being worked on', { retryAfterMs: 1_000 });
    if (judged === 'other')
      throw new CodedError('IDEMPOTENCY_DIFFERS', 'this Idempotency-Key was used for another request');
    return { status: judged.status, body: unseal(judged.answer, asked) };
  }

  async #work(request: RepeatableRequest, asked: KeyedRequest, work: () => Promise<Answer>): Promise<Answer> {
    let answer: Answer;
    try {
      answer = await work();
    } catch (error) {
      await this.#store.drop(request);
      throw error;
    }
    const sealed = { status: answer.status, answer: seal(answer.body, asked) };
    await this.#store.finish(request, sealed, this.#wallMs() + KEPT_MS);
    return answer;
  }
}

function sealingKey({ bearer, key }: KeyedRequest): Buffer {
  return Buffer.from(hkdfSync('sha256', bearer, key, 'x0/idempotency/v1', 32));
}

function seal(body: unknown, asked: KeyedRequest): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', sealingKey(asked), nonce);
  const sealed = [cipher.update(JSON.stringify(body)), cipher.final()];
  return Buffer.concat([nonce, ...sealed, cipher.getAuthTag()]).toString('base64');
}

function unseal(text: string, asked: KeyedRequest): unknown {
  const bytes = Buffer.from(text, 'base64');
  const decipher = createDecipheriv('aes-256-gcm', sealingKey(asked), bytes.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    const content = [decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()];
    return JSON.parse(Buffer.concat(content).toString());
  } catch (error) {
    throw new CodedError('IDEMPOTENCY_SEALED', 'this was done, and answered to another credential of yours', {
      cause: error,
    });
  }
}
