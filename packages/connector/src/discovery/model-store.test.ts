import { expect, test } from 'vitest'
import type { ConfigInput } from '../config/index.ts'
import { isRefusal, keyText, type DiscoveredModel, type Kind, type Refusal } from './discovered-model.ts'
import { roomFor } from './model-room.ts'
import { ModelStore } from './model-store.ts'
import { rules } from './testing/rules.ts'

const GATEWAY = { url: 'https://gateway.example', domain: 'example.com' }

function storeWith(discovery: NonNullable<ConfigInput['discovery']> = {}, configured: string[] = []) {
  const exposed = new Map<string, string>()
  const news: string[] = []
  const refusals = new Map<string, Refusal>()
  const faults = new Set<string>()
  const store = new ModelStore({
    rules: rules({ expose: 'all', gateway: GATEWAY, defaultNamespace: 'ns', ...discovery }),
    configured: new Set(configured),
    sink: {
      expose: (model: DiscoveredModel) => {
        if (faults.has(model.name)) throw new Error('unexpected')
        const refusal = refusals.get(model.name)
        if (refusal === undefined) exposed.set(model.name, `${keyText(model.key)} ${model.condition.state}`)
        return refusal
      },
      remove: (name) => void exposed.delete(name),
      news: (key, outcome) =>
        news.push(`${keyText(key)} ${isRefusal(outcome) ? outcome.refused : outcome.condition.state}`),
    },
  })
  return { store, exposed, news, refusals, faults }
}

let version = 0
const objectOf = (namespace: string, name: string, more: object = {}) => ({
  metadata: { namespace, name, uid: `${namespace}/${name}`, resourceVersion: String((version += 1)) },
  spec: {},
  status: {
    url: `http://${name}-${namespace}.example.com`,
    conditions: [{ type: 'Ready', status: 'True' }],
  },
  ...more,
})
const key = (namespace: string, name: string, kind: Kind = 'InferenceService') => ({ kind, namespace, name })

test('gives a name to the earlier kind, and to the other one when that is gone', () => {
  const { store, exposed, news } = storeWith({ kinds: ['InferenceService', 'InferenceGraph'] })
  store.set('InferenceGraph', objectOf('ns', 'a'))
  expect(exposed.get('a')).toBe('InferenceGraph/ns/a ready')
  store.set('InferenceService', objectOf('ns', 'a'))
  expect(exposed.get('a')).toBe('InferenceService/ns/a ready')
  expect(news.at(-1)).toBe('InferenceGraph/ns/a conflict')
  expect(store.counts).toMatchObject({ total: 1, refusedTotal: 1 })
  store.delete(key('ns', 'a'))
  expect(exposed.get('a')).toBe('InferenceGraph/ns/a ready')
  expect(store.counts).toMatchObject({ total: 1, refusedTotal: 0 })
})

test('gives an alias to the object that the operator has named', () => {
  const { store, exposed } = storeWith({ namespaces: ['ns', 'b'], aliases: { a: 'b/x' } })
  store.set('InferenceService', objectOf('ns', 'a'))
  store.set('InferenceService', objectOf('b', 'x'))
  expect([...exposed]).toEqual([['a', 'InferenceService/b/x ready']])
  store.delete(key('b', 'x'))
  expect([...exposed]).toEqual([['a', 'InferenceService/ns/a ready']])
})

test('reports a refused object once, and again when the reason has changed', () => {
  const { store, news, refusals } = storeWith()
  refusals.set('a', { refused: 'credential', message: 'one' })
  for (let count = 0; count < 3; count += 1) store.set('InferenceService', objectOf('ns', 'a'))
  expect(news).toEqual(['InferenceService/ns/a credential'])
  refusals.delete('a')
  store.reloaded(new Set())
  expect(news.at(-1)).toBe('InferenceService/ns/a ready')
  expect(store.counts.refusedTotal).toBe(0)
})

test('follows the InferenceService of a TrainedModel, whichever is listed first', () => {
  const { store, exposed } = storeWith({ kinds: ['InferenceService', 'TrainedModel'] })
  store.set('TrainedModel', objectOf('ns', 'extra', { spec: { inferenceService: 'a' } }))
  expect(exposed.get('extra')).toBe('TrainedModel/ns/extra not_ready')
  store.set('InferenceService', objectOf('ns', 'a'))
  expect(exposed.get('extra')).toBe('TrainedModel/ns/extra ready')
  store.delete(key('ns', 'a'))
  expect(exposed.get('extra')).toBe('TrainedModel/ns/extra not_ready')
})

test('removes the models of a scope while access is refused, and exposes them afterwards', () => {
  const { store, exposed } = storeWith()
  for (const name of ['a', 'b', 'c']) store.set('InferenceService', objectOf('ns', name))
  store.set('InferenceService', objectOf('other', 'a'))
  const scope = { kind: 'InferenceService', namespace: 'ns' } as const
  expect(store.suspend(scope)).toBe(3)
  expect([...exposed.keys()]).toEqual(['a.other'])
  expect(store.counts.total).toBe(1)
  store.delete(key('ns', 'b'))
  store.resume(scope)
  expect([...exposed.keys()].toSorted()).toEqual(['a', 'a.other', 'c'])
  store.drop({ kind: 'InferenceService', namespace: undefined })
  expect(exposed.size).toBe(0)
  expect(store.counts.total).toBe(0)
})

test('limits the models of a namespace, and of all, and gives a free place to the next one', () => {
  const room = roomFor({ modelsMax: 3, perNamespaceMax: 2 })
  const models: DiscoveredModel[] = []
  const store = new ModelStore({
    rules: rules({ expose: 'all', gateway: GATEWAY }),
    configured: new Set(),
    sink: { expose: (model) => void models.push(model), remove: () => {}, news: () => {} },
  })
  for (const [namespace, name] of [
    ['x', 'a'],
    ['x', 'b'],
    ['x', 'c'],
    ['y', 'a'],
    ['y', 'b'],
  ] as const)
    store.set('InferenceService', objectOf(namespace, name))
  expect(models.map((model) => room.take(model)?.message.match(/limit of .* is reached/)?.[0])).toEqual([
    undefined,
    undefined,
    'limit of 2 models of a namespace is reached',
    undefined,
    'limit of 3 models is reached',
  ])
  expect(room.leave('a.y')).toBe('b.y')
  expect(room.leave('a.x')).toBe('c.x')
})

test('an object that cannot be handled affects no other one', () => {
  const { store, exposed, news, faults } = storeWith()
  for (const name of ['a', 'b', 'c']) store.set('InferenceService', objectOf('ns', name))
  faults.add('b')
  store.reloaded(new Set())
  expect(news.at(-1)).toBe('InferenceService/ns/b fault')
  const scope = { kind: 'InferenceService', namespace: 'ns' } as const
  store.suspend(scope)
  store.resume(scope)
  expect([...exposed.keys()]).toEqual(['a', 'c'])
  expect(store.counts).toMatchObject({ total: 2, refusedTotal: 1 })
  faults.clear()
  store.reloaded(new Set())
  expect([...exposed.keys()].toSorted()).toEqual(['a', 'b', 'c'])
})

test('a free place may be offered to thousands of waiting models, each of which is refused', () => {
  const { store, exposed, refusals } = storeWith()
  const count = 20_000
  for (let index = 0; index < count; index += 1) {
    if (index >= 5_000) refusals.set(`m${index}`, { refused: 'credential', message: 'none' })
    store.set('InferenceService', objectOf('ns', `m${index}`))
  }
  expect(store.counts.refused.get('limit')).toBe(15_000)
  store.delete(key('ns', 'm0'))
  expect(store.counts.refused.get('limit')).toBe(0)
  expect(store.counts.refused.get('credential')).toBe(15_000)
  expect(store.counts.refused.get('fault')).toBeUndefined()
  expect(exposed.size).toBe(4_999)
})
