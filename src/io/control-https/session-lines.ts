import { fail, ok } from '#kernel/result.ts';
import type { Result } from '#kernel/result.ts';
import { demand, readInteger, readRecord, readShape, readText } from '#trust/read.ts';
import type { SnapshotHeader } from '#trust/snapshot.ts';
import { SNAPSHOT_LIMIT_BYTES } from '#trust/snapshot.ts';
import type { PublishedSnapshot } from '#control/snapshot-publisher.ts';

/** Base64 of the largest snapshot, its signer and the header around it. */
export const LINE_LIMIT_CHARS = Math.ceil((SNAPSHOT_LIMIT_BYTES * 4) / 3) + 64 * 1024;

/** The largest answer of a node: 500 streams of the longest names and paths. */
export const REPLY_LIMIT_BYTES = 1024 * 1024;

/** One line of `GET /v1/session`. A snapshot whose body the node has already comes without it. */
export type SessionLine =
  | { readonly type: 'beat' }
  /** The last line: another session of this name has begun. */
  | { readonly type: 'replaced' }
  | {
      readonly type: 'request';
      readonly id: string;
      readonly op: string;
      readonly args: Readonly<Record<string, unknown>>;
    }
  | {
      readonly type: 'snapshot';
      readonly header: SnapshotHeader;
      readonly signer: Uint8Array;
      readonly body: Uint8Array | undefined;
    }
  | { readonly type: 'unknown' };

export const REPLACED_LINE = '{"type":"replaced"}\n';

export function snapshotLine(snapshot: PublishedSnapshot, withBody: boolean): string {
  const { header } = snapshot;
  const line = {
    type: 'snapshot',
    header: {
      version: header.version,
      bodyHash: header.bodyHash.toBase64(),
      issuedAtMs: header.issuedAtMs,
      signerHash: header.signerHash.toBase64(),
      signature: header.signature.toBase64(),
    },
    signer: snapshot.signer.toBase64(),
    ...(withBody ? { body: snapshot.body.toBase64() } : {}),
  };
  return `${JSON.stringify(line)}\n`;
}

/** Total; a type that this version does not know is `unknown`, for later versions to add to. */
export function parseSessionLine(text: string): Result<SessionLine, 'SESSION_LINE_MALFORMED'> {
  const line = readShape(parseJson(text), readLine);
  return line === undefined ? fail('SESSION_LINE_MALFORMED') : ok(line);
}

function readLine(value: unknown): SessionLine {
  const record = readRecord(value);
  switch (readText(record['type'], 64)) {
    case 'beat':
      return { type: 'beat' };
    case 'replaced':
      return { type: 'replaced' };
    case 'request':
      return {
        type: 'request',
        id: readText(record['id'], 64),
        op: readText(record['op'], 64),
        args: readRecord(record['args']),
      };
    case 'snapshot':
      return {
        type: 'snapshot',
        header: readHeader(record['header']),
        signer: readBase64(record['signer']),
        body: record['body'] === undefined ? undefined : readBase64(record['body']),
      };
    default:
      return { type: 'unknown' };
  }
}

function readHeader(value: unknown): SnapshotHeader {
  const record = readRecord(value);
  return {
    version: readInteger(record['version'], 0, Number.MAX_SAFE_INTEGER),
    bodyHash: readBase64(record['bodyHash']),
    issuedAtMs: readInteger(record['issuedAtMs'], 0, Number.MAX_SAFE_INTEGER),
    signerHash: readBase64(record['signerHash']),
    signature: readBase64(record['signature']),
  };
}

/** Bytes from base64 text; the line's own limit bounds it. */
export function readBase64(value: unknown): Uint8Array {
  const text = readText(value, LINE_LIMIT_CHARS);
  const bytes = Buffer.from(text, 'base64');
  demand(bytes.byteLength >= Math.floor((text.length * 3) / 4) - 2, 'base64 was expected');
  return new Uint8Array(bytes);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
