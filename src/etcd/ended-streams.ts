import { subscribe } from 'node:diagnostics_channel';
import { Duplex } from 'node:stream';

/**
 * Takes the listeners off HTTP/2 requests that have ended, whoever in this process made them; after
 * 'close' a stream emits nothing more. Else all that grpc-js hangs on a request, some 18 KB, stays until
 * the old generation is collected: V8 allocates a function there at once that is written where it is
 * assigned to a property (CheckAssigningFunctionLiteralToProperty of its parser), and each writable
 * stream of Node has such a one, `onwrite`, which holds the stream.
 */
export function releaseEndedStreams(): void {
  subscribe('http2.client.stream.created', (message) => {
    if (typeof message !== 'object' || message === null || !('stream' in message)) return;
    const { stream } = message;
    if (stream instanceof Duplex) stream.on('close', release);
  });
}

/** The last event of a stream; who listens to it as well is still told. */
function release(this: Duplex): void {
  this.removeAllListeners();
  this.on('error', ignore);
}

function ignore(): void {
  // Nobody is left to tell.
}
