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
    ready: () => cards.map(({ name }) => name),
    notReady: () => notReady,
    discovery: () => undefined,
    isExposedByPeer: (model) => model === 'of-a-peer',
    cards: () => new Map(cards.map((each) => [each.name, each])),
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

test('each connection publishes its own status and all cards as retained messages', () => {
  presence.connected(1_000)
  expect(statuses()).toEqual([
    { contract: 1, connector: 'edge', state: 'online', version: '1.2.3', timestamp: 1_000, models: ['iris'] },
  ])
  expect(cardsSent()).toEqual(['infer/models/iris'])
  expect(published.every(({ retain, qos }) => retain && qos === 1)).toBe(true)
})

test('the Will contains the timestamp of its connection, so that a late Will can be recognised', () => {
  presence.connected(1_000)
  const { topic, payload } = presence.will(2_000)
  expect(topic).toBe('infer/status/edge')
  expect(JSON.parse(payload)).toMatchObject({ state: 'offline', timestamp: 2_000 })
})

test('several changed cards result in one status message, or none if the status is unchanged', async () => {
  presence.connected(1_000)
  cards = [card('iris'), card('digits')]
  presence.cardChanged('digits', cards[1])
  presence.cardChanged('iris', cards[0])
  await expect.poll(() => statuses().map(({ models }) => models)).toEqual([['iris'], ['iris', 'digits']])
  presence.cardChanged('iris', cards[0])
  await new Promise((resolve) => setImmediate(resolve))
  expect(statuses()).toHaveLength(2)
})

test('while disconnected, queues nothing; the next connection clears the cards that were published', async () => {
  presence.connected(1_000)
  await new Promise((resolve) => setImmediate(resolve))
  presence.disconnected()
  published = []
  cards = [card('rose')]
  presence.cardChanged('rose', cards[0])
  presence.cardChanged('iris', undefined)
  for (let count = 0; count < 100; count += 1) presence.cardChanged(`brief-${count}`, undefined)
  expect(cardsSent()).toEqual([])
  presence.connected(2_000)
  presence.disconnected()
  presence.connected(3_000)
  await new Promise((resolve) => setImmediate(resolve))
  expect(cardsSent().filter((each) => each.endsWith('removed'))).toEqual(['infer/models/iris removed'])
})

test('publishes draining and offline while connected, and resolves at once while disconnected', async () => {
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

test('reports the topic of a refused retained message', async () => {
  reasonCode = 0x87
  presence.connected(1_000)
  await expect.poll(() => refused.sort()).toEqual(['infer/models/iris', 'infer/status/edge'])
})

test('the status lists the models whose server has not answered yet', () => {
  notReady = ['late']
  presence.connected(1_000)
  expect(statuses()).toMatchObject([{ models: ['iris'], not_ready: ['late'] }])
})

test("clears the cards of a predecessor's models that are no longer configured", () => {
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

test('publishes again the cards of models that a peer no longer exposes', async () => {
  presence.cardsAgain(['iris'])
  expect(cardsSent()).toEqual([])
  presence.connected(1_000)
  await expect.poll(cardsSent).toEqual(['infer/models/iris'])
  presence.cardsAgain(['rose', 'iris'])
  expect(cardsSent()).toEqual(['infer/models/iris', 'infer/models/iris'])
})

test('does not clear the card of a removed model that a peer still exposes', () => {
  presence.connected(1_000)
  presence.cardChanged('of-a-peer', undefined)
  expect(cardsSent()).toEqual(['infer/models/iris'])
})
