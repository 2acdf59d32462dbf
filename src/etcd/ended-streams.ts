import { subscribe } from 'node:diagnostics_channel';
import { Duplex } from 'node:stream';

/**
 * Takes the listeners off HTTP/2 requests that have ended, whoever made them. V8 puts a function that is
 * written where it is assigned to a property into the old generation at once (its parser's
 * CheckAssigningFunctionLiteralToProperty), and each writable stream of Node has such a one, `onwrite`,
 * which holds the stream. So what the listeners of a request hold, some 18 KB through grpc-js, would
 * stay until the next collection of the old generation.
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
