interface PartDescription {
  readonly what: string;
  /** Without --only or --all. */
  readonly byDefault: boolean;
}

/** The parts of the bench, in the order in which they run. */
export const PARTS = {
  startup: { what: 'how soon it is ready', byDefault: true },
  one: { what: 'latency at one connection', byDefault: true },
  load: { what: 'rate and latency at 1, 32 and 256 connections', byDefault: true },
  reserved: { what: 'real reservations, and first looks at a cluster', byDefault: true },
  cold: { what: 'the first reviews after a start', byDefault: true },
  memory: {
    what: 'requests to etcd of unguarded reviews; memory under full load',
    byDefault: true,
  },
  bodies: { what: 'reviews of 10 KB to 3 MB', byDefault: false },
  members: { what: 'clusters of 1, 3, 5 and 7 members', byDefault: false },
  hang: { what: 'a member that accepts and never answers', byDefault: false },
  growth: { what: '1 to 5,000 guards in one process, from a file', byDefault: false },
  'growth-cluster': { what: '1 to 5,000 guards from a real API server', byDefault: false },
  storm: { what: 'reviews of hundreds of clusters at once', byDefault: false },
  apiserver: { what: "a real API server's DELETE with and without the webhook", byDefault: false },
  soak: { what: 'an hour of load', byDefault: false },
} as const satisfies Readonly<Record<string, PartDescription>>;

export type PartName = keyof typeof PARTS;
