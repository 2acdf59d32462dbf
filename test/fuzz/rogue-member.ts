import { once } from 'node:events';
import { constants, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Random } from './random.ts';

/** What a member knows of its cluster; ids are decimal. */
export interface Knowledge {
  readonly id: bigint;
  readonly leader: bigint;
  readonly members: readonly {
    readonly id: bigint;
    readonly name: string;
    readonly address: string;
  }[];
  /** The fields that etcd 3.6 adds. */
  readonly since36: boolean;
}

const CLUSTER_ID = 99n;
const INDEX = 5_000n;

function varint(value: bigint): Buffer {
  const octets: number[] = [];
  let rest = value;
  do {
    const more = rest > 127n ? 128 : 0;
    octets.push(Number(rest & 127n) | more);
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(octets);
}

/** A field of a protobuf message that holds a number. */
export function number(field: number, value: bigint): Buffer {
  return Buffer.concat([varint(BigInt(field * 8)), varint(value)]);
}

/** A field of a protobuf message that holds a text or another message. */
export function bytes(field: number, value: Buffer | string): Buffer {
  const content = Buffer.from(value);
  return Buffer.concat([varint(BigInt(field * 8 + 2)), varint(BigInt(content.length)), content]);
}

function header(id: bigint): Buffer {
  return bytes(
    1,
    Buffer.concat([number(1, CLUSTER_ID), number(2, id), number(3, 1n), number(4, 2n)]),
  );
}

function status({ id, leader, since36 }: Knowledge): Buffer {
  const added = [
    bytes(11, '3.6.0'),
    number(12, 2_147_483_648n),
    bytes(13, Buffer.concat([number(1, 1n), bytes(2, '3.5.0')])),
    bytes(99, 'of a version to come'),
  ];
  return Buffer.concat([
    header(id),
    bytes(2, since36 ? '3.6.0' : '3.5.17'),
    number(3, 20_480n),
    number(4, leader),
    number(5, INDEX),
    number(6, 2n),
    number(7, INDEX),
    number(9, 16_384n),
    ...(since36 ? added : []),
  ]);
}

function memberList({ id, members }: Knowledge): Buffer {
  return Buffer.concat([
    header(id),
    ...members.map(({ id: listed, name, address }) =>
      bytes(
        2,
        Buffer.concat([
          number(1, listed),
          bytes(2, name),
          bytes(3, `http://${name}.etcd:2380`),
          bytes(4, `http://${address}`),
        ]),
      ),
    ),
  ]);
}

function range({ id }: Knowledge): Buffer {
  return header(id);
}

/** What is true, by the method's path. */
function truth(path: string, knowledge: Knowledge): Buffer {
  if (path.endsWith('/Status')) return status(knowledge);
  return path.endsWith('/MemberList') ? memberList(knowledge) : range(knowledge);
}

function frame(message: Buffer, length = message.length, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(compressed, 0);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

const GRPC = { ':status': 200, 'content-type': 'application/grpc' } as const;

function answer(
  stream: ServerHttp2Stream,
  body: Buffer,
  trailers: Record<string, string> = { 'grpc-status': '0' },
): void {
  stream.respond(GRPC, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.end(body);
}

interface Request {
  readonly stream: ServerHttp2Stream;
  readonly path: string;
  readonly knowledge: Knowledge;
  readonly random: Random;
}

function noise(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

/** Whatever goes wrong with a request to a member, and more than that. */
const MISDEEDS: readonly ((request: Request) => void)[] = [
  // Another method's message, noise, truth with a changed byte.
  ({ stream, knowledge, random }) =>
    answer(stream, frame(random.pick([status, memberList, range])(knowledge))),
  ({ stream, random }) => answer(stream, frame(noise(random, random.below(300)))),
  ({ stream, path, knowledge, random }) => {
    const message = Buffer.from(truth(path, knowledge));
    message.writeUInt8(random.below(256), random.below(message.length));
    answer(stream, frame(message));
  },
  // Frames that lie about their length or their content.
  ({ stream, random }) =>
    answer(stream, frame(Buffer.alloc(9), random.pick([0, 8, 10, 2 ** 32 - 1]))),
  ({ stream, path, knowledge }) => answer(stream, frame(truth(path, knowledge), undefined, 1)),
  ({ stream, path, knowledge }) => {
    const message = frame(truth(path, knowledge));
    answer(stream, Buffer.concat([message, message]));
  },
  ({ stream }) => answer(stream, Buffer.alloc(0)),
  ({ stream }) => answer(stream, frame(Buffer.alloc(5 * 1024 * 1024))),
  ({ stream, random }) => answer(stream, noise(random, 3)),
  // An end that is none.
  ({ stream, random }) =>
    answer(stream, Buffer.alloc(0), {
      'grpc-status': random.pick(['999', '-1', 'x', '', '14', '4', '1']),
      'grpc-message': random.pick([
        '%00%1b%5b2J%0d%0a',
        'x'.repeat(9_000),
        'etcdserver: no leader',
        '%',
      ]),
    }),
  ({ stream, path, knowledge }) => {
    stream.respond(GRPC);
    stream.end(frame(truth(path, knowledge)));
  },
  ({ stream, random }) => {
    const other = random.pick([204, 301, 401, 404, 500, 503]);
    stream.respond({ ':status': other, 'content-type': 'text/html' });
    if (other === 204) stream.end();
    else stream.end('<html>');
  },
  // No answer, or none that ends.
  () => undefined,
  ({ stream }) => stream.respond(GRPC),
  ({ stream, path, knowledge }) => {
    stream.respond(GRPC);
    stream.write(frame(truth(path, knowledge)).subarray(0, 7));
  },
  ({ stream, path, knowledge }) => {
    stream.respond(GRPC);
    stream.write(frame(truth(path, knowledge)));
  },
  // The stream, the session and the connection, ended.
  ({ stream, random }) => stream.close(random.pick([0, 1, 2, 7, 8, 11])),
  ({ stream }) => stream.session?.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM),
  ({ stream }) => stream.session?.close(),
  ({ stream }) => stream.session?.destroy(),
  ({ stream }) => stream.session?.socket.destroy(),
  ({ stream, random }) => void rawSocket(stream)?.write(noise(random, 64)),
  ({ stream }) => void rawSocket(stream)?.end(),
];

const sockets = new WeakMap<object, Socket>();

function rawSocket({ session }: ServerHttp2Stream): Socket | undefined {
  return session === undefined ? undefined : sockets.get(session);
}

/** A gRPC server of our own that speaks as a member does, until it does not. */
export class RogueMember {
  readonly #server: Http2Server;
  readonly #open = new Set<Socket>();
  readonly #lastTrue = new Map<string, boolean>();
  #behave: (stream: ServerHttp2Stream, path: string) => void = () => undefined;

  private constructor() {
    this.#server = createServer();
    this.#server.on('connection', (socket: Socket) => {
      this.#open.add(socket);
      socket.on('close', () => this.#open.delete(socket)).on('error', () => undefined);
    });
    this.#server.on('session', (session) => {
      const newest = [...this.#open].at(-1);
      if (newest !== undefined) sockets.set(session, newest);
      session.on('error', () => undefined);
    });
    this.#server.on('sessionError', () => undefined);
    this.#server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined).resume();
      if (!stream.destroyed) this.#behave(stream, String(headers[':path']));
    });
  }

  /** Answers nobody until it is told how. */
  static async start(): Promise<RogueMember> {
    const member = new RogueMember();
    member.#server.listen(0, '127.0.0.1');
    await once(member.#server, 'listening');
    return member;
  }

  get address(): string {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on a port
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connections(): number {
    return this.#open.size;
  }

  /** One in `truthIn` answers is true; 1: all are. */
  play(knowledge: Knowledge, random: Random, truthIn: number): void {
    this.#lastTrue.clear();
    this.#behave = (stream, path) => {
      const isTrue = random.oneIn(truthIn);
      this.#lastTrue.set(path.split('/').at(-1) ?? '', isTrue);
      if (isTrue) answer(stream, frame(truth(path, knowledge)));
      else random.pick(MISDEEDS)({ stream, path, knowledge, random });
    };
  }

  /** Whether what it said last was true, to each method that an allowance of a voter rests on. */
  get toldTheTruth(): boolean {
    return ['Status', 'MemberList', 'Range'].every((method) => this.#lastTrue.get(method) === true);
  }

  /** Answers each method with the message that is given for its path, from now on. */
  tell(messageFor: (path: string) => Buffer): void {
    this.#behave = (stream, path) => answer(stream, frame(messageFor(path)));
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
