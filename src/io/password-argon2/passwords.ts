import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import type { PasswordPort } from '#control/accounts/ports.ts';

const derive = promisify(argon2);

/** RFC 9106 §4 leaves these to the machine; OWASP's first choice for argon2id: 19 MiB, twice, in one lane. */
const COST = { memory: 19_456, passes: 2, parallelism: 1 } as const;
const SALT_BYTES = 16;
const TAG_BYTES = 32;
/** At 25 ms each the last of them waits less than a second, which people do. */
const WAITING_LIMIT = 32;
const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

interface ParsedHash {
  readonly cost: { readonly memory: number; readonly passes: number; readonly parallelism: number };
  readonly salt: Buffer;
  readonly tag: Buffer;
}

/** argon2id, one at a time: it takes a core and 19 MiB, and others work here too. */
export class Argon2Passwords implements PasswordPort {
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  async hash(password: string): Promise<string | undefined> {
    const salt = randomBytes(SALT_BYTES);
    const tag = await this.#derive(password, { cost: COST, salt, tag: Buffer.alloc(TAG_BYTES) });
    if (tag === undefined) return undefined;
    const { memory, passes, parallelism } = COST;
    return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(tag)}`;
  }

  async verify(password: string, hash: string | undefined): Promise<boolean | undefined> {
    const known = hash === undefined ? undefined : parse(hash);
    const nobody = { cost: COST, salt: Buffer.alloc(SALT_BYTES), tag: Buffer.alloc(TAG_BYTES) };
    const tag = await this.#derive(password, known ?? nobody);
    return tag && timingSafeEqual(tag, (known ?? nobody).tag) && known !== undefined;
  }

  async #derive(password: string, { cost, salt, tag }: ParsedHash): Promise<Buffer | undefined> {
    if (this.#waiting >= WAITING_LIMIT) return undefined;
    this.#waiting++;
    const work = this.#last.then(async () =>
      derive('argon2id', { message: password, nonce: salt, tagLength: tag.length, ...cost }),
    );
    this.#last = work.catch(() => undefined);
    try {
      return Buffer.from(await work);
    } finally {
      this.#waiting--;
    }
  }
}

function parse(hash: string): ParsedHash | undefined {
  const [, memory, passes, parallelism, salt, tag] = PHC.exec(hash) ?? [];
  if (salt === undefined || tag === undefined) return undefined;
  const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  return { cost, salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') };
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
