import { parentPort } from 'node:worker_threads';
import { CedarEvaluator } from './cedar-evaluator.ts';
import { useOnce } from './sample-request.ts';

// What it compiles is the process's; it stays until that is in use there too, and is ended then.
useOnce(new CedarEvaluator());
if (parentPort !== null) {
  const port = parentPort;
  const isWarm = true;
  port.postMessage(isWarm);
  port.on('message', () => undefined);
}
