import { isAddress } from '#control/input.ts';
import { formatHostPort, parseHostPort } from '#io/edge-listener/host-port.ts';
import { parseMeshHost } from '#io/stream-splice/mesh-address.ts';
import { splitAddress } from '#io/tunnel-tls/dial-link.ts';
import { mixFamilies } from '#mesh/membership/addresses.ts';
import { check, checkSame, type FuzzTarget, textOf, utf8 } from '../fuzz-target.ts';

export const hostPort: FuzzTarget = {
  name: 'host-port',
  corpus: () => ['127.0.0.1:80', '[::1]:7101', 'db.example:5432', '[fe80::1%eth0]:9'].map((text) => utf8(text)),
  run(input) {
    const text = textOf(input);
    const read = parseHostPort(text);
    if (read !== undefined) {
      check(read.port >= 0 && read.port <= 65_535 && read.host !== '', 'in range');
      checkSame(parseHostPort(formatHostPort(read)), read, 'again');
    }
    const dialled = splitAddress(text);
    check(dialled === undefined || (dialled.port > 0 && dialled.port < 65_536), 'in range');
    if (isAddress(text)) check(dialled !== undefined, 'what the control plane publishes can be dialled');
    check(mixFamilies([text, '127.0.0.1:1']).length === 2, 'none is lost');
    const service = parseMeshHost(text);
    check(!service.ok || /^[a-z0-9-]{1,63}$/.test(service.value), 'a name');
    return read !== undefined;
  },
};
