import { fail, ok, type Result } from '#kernel/result.ts';
import { isServiceName } from '#trust/identity.ts';

const SUFFIX = '.mesh';

/** The service that `host` names (`hello.mesh` or `hello.mesh.`, any case), or why a proxy refuses it. */
export function parseMeshHost(host: string): Result<string, 'ADDRESS_NOT_MESH' | 'SERVICE_UNKNOWN'> {
  const name = (host.endsWith('.') ? host.slice(0, -1) : host).toLowerCase();
  if (!name.endsWith(SUFFIX)) return fail('ADDRESS_NOT_MESH');
  const service = name.slice(0, -SUFFIX.length);
  return isServiceName(service) ? ok(service) : fail('SERVICE_UNKNOWN');
}
