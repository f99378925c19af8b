import { fail, ok, type Result } from '#kernel/result.ts';

const SUFFIX = '.mesh';
const SERVICE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** The service that `host` names (`hello.mesh` or `hello.mesh.`, any case), or why a proxy refuses it. */
export function parseMeshHost(host: string): Result<string, 'ADDRESS_NOT_MESH' | 'SERVICE_UNKNOWN'> {
  const name = (host.endsWith('.') ? host.slice(0, -1) : host).toLowerCase();
  if (!name.endsWith(SUFFIX)) return fail('ADDRESS_NOT_MESH');
  const service = name.slice(0, -SUFFIX.length);
  return SERVICE_NAME.test(service) ? ok(service) : fail('SERVICE_UNKNOWN');
}
