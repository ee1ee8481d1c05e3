// Tests list and watch against a real API server: restarts, compaction, permissions, expiring tokens, and many objects.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import {
  collectionPath,
  KubeApi,
  NamespaceSet,
  ResourceWatch,
  type KubeKind,
  type KubeObject,
  type Pace,
  type UnreadableObject,
  type WatchHandlers,
  type WatchStatus,
} from '../packages/connector/src/discovery/index.ts'
import { findComponents } from './cluster/components.ts'
import { startControlPlane, type ControlPlane } from './cluster/control-plane.ts'
import { NODE_ADDRESS, setUpNodeNetwork } from './cluster/node/network.ts'
import { tempFolder } from './fixtures/temp-folder.ts'

const KIND: KubeKind = { group: 'example.org', version: 'v1', plural: 'gadgets' }
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const PACE: Partial<Pace> = { minMs: 50, maxMs: 500, slowMs: 200, listGapMs: 0 }

/** Keeps the versions of the objects, as discovery keeps their contents. */
class Consumer implements WatchHandlers {
  readonly versions = new Map<string, string>()
  readonly log: string[] = []
  readonly statuses: WatchStatus[] = []
  readonly skips: UnreadableObject[] = []

  set({ metadata: { namespace, name, resourceVersion } }: KubeObject): void {
    this.versions.set(`${namespace}/${name}`, resourceVersion)
    this.log.push(`set ${name}`)
  }

  deleted({ namespace, name }: { readonly namespace: string | undefined; readonly name: string }): void {
    if (!this.versions.delete(`${namespace}/${name}`)) throw new Error(`${name} was not known`)
    this.log.push(`deleted ${name}`)
  }

  status(status: WatchStatus): void {
    this.statuses.push(status)
    this.log.push(status.state)
  }

  skipped(unreadable: UnreadableObject): void {
    this.skips.push(unreadable)
  }

  get state(): string | undefined {
    return this.statuses.at(-1)?.state
  }
}

/** Forwards connections to the API server, until they are cut. */
class Forwarder {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  isOpen = true

  constructor() {
    this.#server = createServer((socket) => {
      if (!this.isOpen) return void socket.destroy()
      const upstream = connect(6443, '127.0.0.1')
      for (const [from, to] of [
        [socket, upstream],
        [upstream, socket],
      ] as const) {
        this.#sockets.add(from)
        from.on('error', () => {})
        from.on('close', () => to.destroy())
        from.pipe(to)
      }
    })
  }

  async start(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  /** Breaks all connections, and refuses new ones until `isOpen` is set. */
  cut(): void {
    this.isOpen = false
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  stop(): void {
    this.cut()
    this.#server.close()
  }
}

let plane: ControlPlane
let folder: string
let lists = 0
const closing: (() => unknown)[] = []

beforeAll(async () => {
  folder = tempFolder('watch')
  await setUpNodeNetwork()
  plane = await startControlPlane(await findComponents(), folder, NODE_ADDRESS)
  for (const name of ['team-a', 'team-b']) await createNamespace(name)
  await installKind(KIND.plural, 'Gadget')
})

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  await plane.api.call('DELETE', collectionPath(KIND, 'team-a'))
  await plane.api.call('DELETE', collectionPath(KIND, 'team-b'))
})

afterAll(async () => {
  await plane?.stop()
})

const until = async (check: () => void | Promise<void>): Promise<void> =>
  await vi.waitFor(check, { timeout: 60_000, interval: 20 })

async function createNamespace(name: string, labels: object = {}): Promise<void> {
  await plane.api.create('/api/v1/namespaces', { metadata: { name, labels } })
}

async function installKind(plural: string, kind: string): Promise<void> {
  const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  await plane.api.create(CRDS, {
    metadata: { name: `${plural}.example.org` },
    spec: {
      group: 'example.org',
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase() },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  })
  await until(async () => void (await plane.api.get(collectionPath({ ...KIND, plural }))))
}

async function put(name: string, spec: object = {}, namespace = 'team-a'): Promise<void> {
  const path = `${collectionPath(KIND, namespace)}/${name}?fieldManager=test`
  await plane.api.patch(
    path,
    { apiVersion: 'example.org/v1', kind: 'Gadget', metadata: { name }, spec },
    'apply',
  )
}

async function remove(name: string, namespace = 'team-a'): Promise<void> {
  await plane.api.delete(`${collectionPath(KIND, namespace)}/${name}`)
}

/** The versions of the server's objects. */
async function versions(namespace?: string): Promise<Map<string, string>> {
  const { items } = (await plane.api.get(collectionPath(KIND, namespace))) as { readonly items: KubeObject[] }
  return new Map(
    items.map(({ metadata }) => [`${metadata.namespace}/${metadata.name}`, metadata.resourceVersion]),
  )
}

const inSync = async (consumer: Consumer, namespace?: string): Promise<void> =>
  await until(async () => expect(consumer.versions).toEqual(await versions(namespace)))

/** A client with this user, which counts its lists. */
function apiOf(user: object, port = 6443): KubeApi {
  const file = join(folder, 'connector-config')
  writeFileSync(
    file,
    JSON.stringify({
      clusters: [
        {
          name: 'c',
          cluster: {
            server: `https://127.0.0.1:${port}`,
            'certificate-authority-data': plane.ca.toString('base64'),
          },
        },
      ],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'c',
    }),
  )
  const api = KubeApi.fromKubeconfig({ env: {}, kubeconfig: file })
  const readList = api.readList.bind(api)
  lists = 0
  api.readList = (...args) => {
    lists += 1
    return readList(...args)
  }
  closing.push(() => api.close())
  return api
}

function watchWith(
  api: KubeApi,
  options: Partial<ConstructorParameters<typeof ResourceWatch>[1]> = {},
): Consumer {
  const consumer = new Consumer()
  const watch = new ResourceWatch(api, { kind: KIND, handlers: consumer, pace: PACE, ...options })
  closing.push(() => watch.stop())
  return consumer
}

function admin(): object {
  const { users } = JSON.parse(readFileSync(plane.kubeconfig, 'utf8')) as {
    readonly users: readonly [{ readonly user: object }]
  }
  return users[0].user
}

/** Creates a ServiceAccount that may list and watch the kind in its own namespace. */
async function createWatcher(namespace: string): Promise<void> {
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`
  const metadata = { name: 'watcher' }
  await plane.api.create(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata })
  await plane.api.create(`${rbac}/roles`, {
    metadata,
    rules: [{ apiGroups: [KIND.group], resources: [KIND.plural], verbs: ['list', 'watch'] }],
  })
  await plane.api.create(`${rbac}/rolebindings`, {
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'watcher' },
    subjects: [{ kind: 'ServiceAccount', name: 'watcher', namespace }],
  })
}

/** Returns a token that is valid until the Secret `secret` is deleted. */
async function tokenOf(namespace: string, secret: string): Promise<string> {
  const core = `/api/v1/namespaces/${namespace}`
  await plane.api.create(`${core}/secrets`, { metadata: { name: secret } })
  const { status } = (await plane.api.create(`${core}/serviceaccounts/watcher/token`, {
    spec: { boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name: secret } },
  })) as { readonly status: { readonly token: string } }
  return status.token
}

test('reports the objects of a list and then the changes, in all namespaces and in some', async () => {
  for (const name of ['a', 'b', 'c']) await put(name)
  const small = apiOf(admin())
  const consumer = watchWith(small)
  await inSync(consumer)
  await put('b', { size: 2 })
  await remove('a')
  await put('a', { size: 3 }, 'team-b')
  await inSync(consumer)
  expect(consumer.log).toEqual(['set a', 'set b', 'set c', 'synced', 'set b', 'deleted a', 'set a'])
  const one = watchWith(small, { namespaces: ['team-b', 'missing'] })
  await inSync(one, 'team-b')
  await until(() => expect(one.statuses.map(({ state }) => state)).toEqual(['synced', 'synced']))
})

test('follows namespaces by their labels', async () => {
  await createNamespace('labelled', { models: 'yes' })
  const log: string[] = []
  const set = new NamespaceSet(apiOf(admin()), {
    labelSelector: 'models in (yes,maybe)',
    pace: PACE,
    handlers: {
      added: (name) => log.push(`added ${name}`),
      removed: (name) => log.push(`removed ${name}`),
      status: ({ state }) => log.push(state),
      skipped: () => log.push('skipped'),
    },
  })
  closing.push(() => set.stop())
  await set.firstStatus
  await plane.api.patch('/api/v1/namespaces/team-b', { metadata: { labels: { models: 'maybe' } } })
  await plane.api.patch('/api/v1/namespaces/labelled', { metadata: { labels: { models: null } } })
  await until(() => expect(log).toEqual(['added labelled', 'synced', 'added team-b', 'removed labelled']))
})

test('continues after a restart of the API server, and reports only the differences', async () => {
  await put('a')
  const consumer = watchWith(apiOf(admin()))
  await inSync(consumer)
  await put('b')
  await inSync(consumer)
  const before = consumer.log.length
  await plane.restartApiServer()
  await put('c')
  await remove('a')
  await inSync(consumer)
  await until(() => expect(consumer.state).toBe('synced'))
  expect(consumer.log.slice(before).filter((entry) => /^(set|deleted)/.test(entry))).toEqual([
    'set c',
    'deleted a',
  ])
})

test('lists again after a compaction (410), and reports only the differences', async () => {
  const forwarder = new Forwarder()
  const port = await forwarder.start()
  closing.push(() => forwarder.stop())
  for (const name of ['a', 'b', 'c']) await put(name)
  const consumer = watchWith(apiOf(admin(), port))
  await inSync(consumer)
  const version = [...consumer.versions.values()].at(-1)!
  expect(lists).toBe(1)
  forwarder.cut()
  await put('b', { size: 2 })
  await remove('a')
  await remove('c')
  await put('c')
  await put('d')
  await compact()
  // The API server keeps earlier versions in memory until it ends.
  await plane.restartApiServer()
  await until(async () => {
    const query = `watch=1&timeoutSeconds=1&resourceVersion=${version}`
    const answer = await plane.api.get(`${collectionPath(KIND)}?${query}`).then(JSON.stringify, String)
    expect(answer).toContain('too old resource version')
  })
  const before = consumer.log.length
  forwarder.isOpen = true
  await inSync(consumer)
  expect(lists).toBe(2)
  const changes = consumer.log.slice(before).filter((entry) => /^(set|deleted)/.test(entry))
  expect(changes.toSorted()).toEqual(['deleted a', 'deleted c', 'set b', 'set c', 'set d'])
})

/** Makes etcd forget all versions but the current one. */
async function compact(): Promise<void> {
  const { header } = await callEtcd('range', { key: Buffer.from('x').toString('base64') })
  await callEtcd('compaction', { revision: header.revision, physical: true })
}

async function callEtcd(
  path: string,
  body: object,
): Promise<{ readonly header: { readonly revision: string } }> {
  const response = await fetch(`http://127.0.0.1:2379/v3/kv/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
  })
  expect(response.status).toBe(200)
  return (await response.json()) as { readonly header: { readonly revision: string } }
}

test('is absent while the kind is not installed', async () => {
  const kind = { ...KIND, plural: 'gizmos' }
  const consumer = watchWith(apiOf(admin()), { kind })
  await until(() => expect(consumer.log).toEqual(['absent']))
  await installKind('gizmos', 'Gizmo')
  await plane.api.create(collectionPath(kind, 'team-a'), {
    apiVersion: 'example.org/v1',
    kind: 'Gizmo',
    metadata: { name: 'a' },
  })
  await until(() => expect(consumer.log.toSorted()).toEqual(['absent', 'set a', 'synced']))
  await plane.api.delete(`${CRDS}/gizmos.example.org`)
  await until(() => expect(consumer.state).toBe('absent'))
  expect(consumer.versions.size).toBe(0)
})

test('works with permissions in one namespace, and with a token that is replaced every two seconds', async () => {
  await createWatcher('team-a')
  await put('a')
  await put('hidden', {}, 'team-b')
  const account = join(folder, 'account')
  mkdirSync(account)
  const write = (token: string): void => {
    // Like the kubelet, replaces the file as a whole.
    writeFileSync(join(account, 'new'), token)
    renameSync(join(account, 'new'), join(account, 'token'))
  }
  const first = await tokenOf('team-a', 'token-0')
  write(first)
  writeFileSync(join(account, 'ca.crt'), plane.ca)
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '6443' }
  const api = KubeApi.inCluster({ env, folder: account })
  closing.push(() => api.close())

  const everything = watchWith(api)
  await until(() => expect(everything.state).toBe('forbidden'))
  expect(everything.statuses[0]).toMatchObject({
    error: { message: expect.stringContaining('system:serviceaccount:team-a:watcher') },
  })
  // A new watch begins every one to two seconds, each with the current token.
  const consumer = watchWith(api, { namespaces: ['team-a'], watchSeconds: 1 })
  await inSync(consumer, 'team-a')
  for (let round = 1; round <= 5; round += 1) {
    await delay(2_000)
    write(await tokenOf('team-a', `token-${round}`))
    await plane.api.delete(`/api/v1/namespaces/team-a/secrets/token-${round - 1}`)
    await put(`round-${round}`)
    await inSync(consumer, 'team-a')
  }
  expect(consumer.log.filter((entry) => !entry.startsWith('set'))).toEqual(['synced'])
  const old = apiOf({ token: first })
  await until(async () => await expect(old.get('/version')).rejects.toMatchObject({ status: 401 }))

  // With a revoked token the watch fails, keeps its objects, and recovers with the next token.
  write(first)
  await until(() => expect(consumer.state).toBe('failing'))
  expect(consumer.statuses.at(-1)).toMatchObject({ error: { status: 401, reason: 'Unauthorized' } })
  expect(JSON.stringify(consumer.statuses)).not.toContain(first)
  expect(consumer.versions.size).toBe(6)
  write(await tokenOf('team-a', 'token-6'))
  await put('last')
  await inSync(consumer, 'team-a')
  expect(everything.versions.size).toBe(0)
})

test('follows 1,000 objects that are created and deleted within a minute', async () => {
  const consumer = watchWith(apiOf(admin()))
  await inSync(consumer)
  const names = Array.from({ length: 1_000 }, (_, index) => `object-${index}`)
  const startedAtMs = performance.now()
  await inParallel(names, async (name) => {
    await plane.api.create(collectionPath(KIND, 'team-a'), {
      apiVersion: 'example.org/v1',
      kind: 'Gadget',
      metadata: { name },
      spec: { predictor: { model: { storageUri: `s3://models/${name}` } } },
    })
  })
  await until(() => expect(consumer.versions.size).toBe(1_000))
  const late = watchWith(apiOf(admin()))
  await inSync(late)
  expect(late.log.indexOf('synced')).toBe(1_000)
  await inParallel(names, (name) => remove(name))
  await until(() => expect(consumer.versions.size).toBe(0))
  console.log(`1,000 objects were created and deleted in ${Math.round(performance.now() - startedAtMs)} ms.`)
  expect(consumer.log.filter((entry) => entry.startsWith('set'))).toHaveLength(1_000)
  expect(consumer.log.filter((entry) => entry.startsWith('deleted'))).toHaveLength(1_000)
  expect(lists).toBe(1)
  expect(late.versions.size).toBe(0)
  expect(consumer.skips).toEqual([])
})

async function inParallel(names: readonly string[], run: (name: string) => Promise<void>): Promise<void> {
  const left = [...names]
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let name = left.pop(); name !== undefined; name = left.pop()) await run(name)
    }),
  )
}
