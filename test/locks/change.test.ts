import { describe, expect, test } from 'vitest';
import { changeIn, resourceName, type Change } from '../../src/locks/change.ts';
import { request } from './world.ts';

function decoded(changes: Readonly<Record<string, unknown>>): Change {
  const change = changeIn('u-1', request(changes));
  if (change === null) throw new Error('a change expected');
  return change;
}

describe('a change', () => {
  test('has the labels before and after, and who asks', () => {
    const made = decoded({
      userInfo: { username: 'alice', groups: ['ops', 7] },
      oldObject: { metadata: { name: 'my-pod', labels: { aura: 'red', count: 7 } } },
      object: { metadata: { name: 'my-pod', labels: { aura: 'blue' } } },
    });
    expect(made).toEqual({
      requestId: 'u-1',
      object: null,
      operation: 'UPDATE',
      subresource: '',
      place: { group: '', version: 'v1', resource: 'pods', namespace: 'default', name: 'my-pod' },
      before: { labels: { aura: 'red' }, terminating: false, owned: false },
      after: { labels: { aura: 'blue' }, terminating: false, owned: false },
      user: { name: 'alice', groups: ['ops'] },
      dryRun: false,
    });
  });

  test('of a delete-collection is named by the object', () => {
    const gone = decoded({ operation: 'DELETE', name: '', object: null });
    expect(gone).toMatchObject({ operation: 'DELETE', after: null, place: { name: 'my-pod' } });
  });

  test('knows an object that is terminating, and one that is owned', () => {
    const metadata = {
      name: 'my-pod',
      deletionTimestamp: '2026-05-01T12:00:00Z',
      ownerReferences: [{ kind: 'StatefulSet' }],
    };
    expect(decoded({ oldObject: { metadata } }).before).toEqual({
      labels: {},
      terminating: true,
      owned: true,
    });
  });

  test('of a group is named with it', () => {
    const { place } = decoded({
      resource: { group: 'apps', version: 'v1', resource: 'statefulsets' },
    });
    expect(resourceName(place)).toBe('statefulsets.apps');
  });

  test.each([
    ['scale', 'UPDATE', 'UPDATE'],
    ['eviction', 'CREATE', 'DELETE'],
  ])('of the subresource %s by %s counts as %s of an object to be read', (...of) => {
    const [subResource, operation, counted] = of;
    expect(decoded({ subResource, operation })).toMatchObject({
      operation: counted,
      before: 'unread',
      after: null,
    });
  });

  test.each(['status', 'ephemeralcontainers', 'resize'])(
    'of the subresource %s carries its object',
    (subResource) => {
      expect(decoded({ subResource })).toMatchObject({
        operation: 'UPDATE',
        before: { labels: { aura: 'red' } },
      });
    },
  );

  test('in a dry run is one, also where only the eviction says so', () => {
    expect(decoded({ dryRun: true }).dryRun).toBe(true);
    const eviction = { metadata: { name: 'my-pod' }, deleteOptions: { dryRun: ['All'] } };
    expect(decoded({ operation: 'CREATE', subResource: 'eviction', object: eviction }).dryRun).toBe(
      true,
    );
  });
});

describe('no change', () => {
  test.each([
    ['CONNECT', 'exec'],
    ['CREATE', 'binding'],
    ['CREATE', 'token'],
    ['GET', ''],
    ['', ''],
    ['DELETE', 'eviction'],
  ])('is %s of %s', (operation, subResource) => {
    expect(changeIn('u-1', request({ operation, subResource }))).toBeNull();
  });

  test.each([{}, { resource: null }, { oldObject: [], object: 'x', userInfo: 7, name: {} }])(
    'is not a request with odd parts: %j',
    (changes) => {
      expect(changeIn('u-1', request(changes))).not.toBeNull();
    },
  );
});
