import { TopicSpace, type ConnectorStatus, type ModelCard } from '@inferwire/protocol'
import { beforeEach, expect, test } from 'vitest'
import { Presence, type RetainedMessage } from './presence.ts'

const card = (name: string): ModelCard => ({ name }) as ModelCard

let published: RetainedMessage[]
let cards: ModelCard[]
let notReady: string[]
let refused: string[]
let reasonCode: number
let presence: Presence

beforeEach(() => {
  published = []
  cards = [card('iris')]
  notReady = []
  refused = []
  reasonCode = 0
  presence = new Presence({
    topics: new TopicSpace('infer'),
    name: 'edge',
    version: '1.2.3',
    share: undefined,
    notReady: () => notReady,
    isExposedByPeer: (model) => model === 'of-a-peer',
    cards: () => cards,
    publish: (message) => {
      published.push(message)
      return Promise.resolve(
        reasonCode === 0 ? { kind: 'acknowledged', reasonCode } : { kind: 'refused', reasonCode },
      )
    },
    refused: (topic) => refused.push(topic),
  })
})

const statuses = (): Partial<ConnectorStatus>[] =>
  published
    .filter(({ topic }) => topic === 'infer/status/edge')
    .map(({ payload }) => JSON.parse(Buffer.from(payload).toString()) as ConnectorStatus)
const cardsSent = (): string[] =>
  published
    .filter(({ topic }) => topic.startsWith('infer/models/'))
    .map(({ topic, payload }) => `${topic}${payload.length === 0 ? ' removed' : ''}`)

test('each connection publishes the status with its own time of birth, and every card, retained', () => {
  presence.connected(1_000)
  expect(statuses()).toEqual([
    { contract: 1, connector: 'edge', state: 'online', version: '1.2.3', timestamp: 1_000, models: ['iris'] },
  ])
  expect(cardsSent()).toEqual(['infer/models/iris'])
  expect(published.every(({ retain, qos }) => retain && qos === 1)).toBe(true)
})

test('the Will has the time of its own birth, so that a late one is known as such', () => {
  presence.connected(1_000)
  const { topic, payload } = presence.will(2_000)
  expect(topic).toBe('infer/status/edge')
  expect(JSON.parse(payload)).toMatchObject({ state: 'offline', timestamp: 2_000 })
})

test('several cards that change in one turn make one status, and none where nothing changed in it', async () => {
  presence.connected(1_000)
  cards = [card('iris'), card('digits')]
  presence.cardChanged('digits', cards[1])
  presence.cardChanged('iris', cards[0])
  await expect.poll(() => statuses().map(({ models }) => models)).toEqual([['iris'], ['iris', 'digits']])
  presence.cardChanged('iris', cards[0])
  await new Promise((resolve) => setImmediate(resolve))
  expect(statuses()).toHaveLength(2)
})

test('without a connection only a removed card is queued: the next connection publishes the others', () => {
  presence.cardChanged('iris', cards[0])
  presence.cardChanged('gone', undefined)
  expect(cardsSent()).toEqual(['infer/models/gone removed'])
})

test('draining and offline are published while there is a connection, and resolve at once without', async () => {
  await presence.announce('draining')
  expect(published).toEqual([])
  presence.connected(1_000)
  expect(statuses()).toMatchObject([{ state: 'draining' }])
  await presence.announce('offline')
  expect(statuses().at(-1)).toMatchObject({ state: 'offline', timestamp: 1_000 })
  presence.disconnected()
  await presence.announce('offline')
  expect(statuses()).toHaveLength(2)
})

test('a refused retained message is told with its topic', async () => {
  reasonCode = 0x87
  presence.connected(1_000)
  await expect.poll(() => refused.sort()).toEqual(['infer/models/iris', 'infer/status/edge'])
})

test('the status names the models whose server was not reached yet', () => {
  notReady = ['late']
  presence.connected(1_000)
  expect(statuses()).toMatchObject([{ models: ['iris'], not_ready: ['late'] }])
})

test('a predecessor that ended before it could leaves no card of a model that is not configured any more', () => {
  presence.connected(1_000)
  notReady = ['late']
  presence.clearCardsOf({
    contract: 1,
    connector: 'edge',
    state: 'offline',
    version: '1.2.2',
    timestamp: 900,
    models: ['iris', 'gone', 'of-a-peer'],
    not_ready: ['late', 'never-reached'],
  })
  expect(cardsSent()).toEqual([
    'infer/models/iris',
    'infer/models/gone removed',
    'infer/models/never-reached removed',
  ])
})

test('the card of a model that a peer exposes too stays when the model is removed here', () => {
  presence.connected(1_000)
  presence.cardChanged('of-a-peer', undefined)
  expect(cardsSent()).toEqual(['infer/models/iris'])
})
