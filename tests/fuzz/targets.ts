import type { FuzzTarget } from './fuzz-target.ts';
import { circuitOpen } from './targets/circuit-open.ts';
import { frames } from './targets/frames.ts';
import { hello } from './targets/hello.ts';
import { hostPort } from './targets/host-port.ts';
import { httpHead } from './targets/http-head.ts';
import { joinToken } from './targets/join-token.ts';
import { leafFacts } from './targets/leaf-facts.ts';
import { linkstateBody } from './targets/linkstate-body.ts';
import { linkstateMachine } from './targets/linkstate-machine.ts';
import { linkstateMessage } from './targets/linkstate-message.ts';
import { linkstateRecord } from './targets/linkstate-record.ts';
import { messageReader } from './targets/message-reader.ts';
import { mux } from './targets/mux.ts';
import { nodeReport } from './targets/node-report.ts';
import { probe } from './targets/probe.ts';
import { proxyHeader } from './targets/proxy-header.ts';
import { reason } from './targets/reason.ts';
import { request } from './targets/request.ts';
import { sessionLine } from './targets/session-line.ts';
import { snapshotBody } from './targets/snapshot-body.ts';
import { socks5 } from './targets/socks5.ts';
import { spiffeId } from './targets/spiffe-id.ts';
import { conduitOpen } from './targets/conduit-open.ts';
import { targetPattern } from './targets/target-pattern.ts';

/** Every parser of outside bytes. */
export const TARGETS: readonly FuzzTarget[] = [
  frames,
  mux,
  hello,
  reason,
  circuitOpen,
  conduitOpen,
  linkstateMessage,
  linkstateRecord,
  linkstateBody,
  linkstateMachine,
  messageReader,
  probe,
  snapshotBody,
  joinToken,
  sessionLine,
  nodeReport,
  request,
  leafFacts,
  spiffeId,
  socks5,
  httpHead,
  proxyHeader,
  targetPattern,
  hostPort,
];
