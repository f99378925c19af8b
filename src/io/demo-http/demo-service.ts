import type { HostPort } from '../edge-listener/host-port.ts';
import { type Listener, openListener } from '../edge-listener/tcp-listener.ts';
import { createServer } from '../http-node/http.ts';

/** A tiny web server to try the mesh with: answers one line that names the node beside it. */
export async function openDemoService(at: HostPort, node: string): Promise<Listener> {
  const server = createServer({ maxHeaderSize: 8192 }, (request, response) => {
    request.resume();
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.end(request.method === 'HEAD' ? undefined : `hello from ${node}, through the mesh\n`);
  });
  return await openListener(server, at);
}
