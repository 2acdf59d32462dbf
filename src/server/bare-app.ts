import express from 'express';

/** An application that gives nothing away, keeps no tags, and reads no queries. */
export function bareApp(): express.Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);
  app.set('env', 'production');
  return app;
}
