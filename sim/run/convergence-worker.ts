import { parentPort, workerData } from 'node:worker_threads';
import { measureFailures } from './failure-times.ts';

parentPort?.postMessage(measureFailures(Number(workerData), 1), []);
