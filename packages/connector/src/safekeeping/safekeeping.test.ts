import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Delivery } from '../step.ts'
import { Safekeeping } from './safekeeping.ts'

let folder: string
let told: string[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safekeeping-'))
  told = []
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

const open = (place = folder): Safekeeping =>
  new Safekeeping(place, {
    refused: (reason) => told.push(`refused: ${reason}`),
    unreadable: (path) => told.push(`unreadable: ${path}`),
  })

const deliveryOf = (payload = Buffer.from([0, 255, 7]), ageMs = 0): Delivery => ({
  topic: 'infer/request/cam7/iris/infer/é',
  payload,
  payloadBytes: payload.length,
  propertyBytes: 20,
  isWhole: true,
  qos: 1,
  retain: false,
  dup: false,
  packetId: 65_535,
  properties: {
    correlationData: Buffer.from([1, 0, 2]),
    messageExpiryInterval: 600,
    userProperties: ['timeout-ms', '5', 'timeout-ms', '6'],
  },
  receivedAtMs: performance.now() - ageMs,
  isReleased: false,
  isLost: false,
  redelivery: undefined,
  sharePayload: () => {},
  release: () => {},
  settle: () => {},
})

test('a kept request is there for the next process: the same bytes, as a redelivery, as old as it is', () => {
  expect(open().keep(deliveryOf(undefined, 5_000))).toBeTypeOf('function')
  const [kept] = open().kept()
  const { topic, payload, payloadBytes, isWhole, qos, retain, dup, packetId, properties } = deliveryOf()
  expect(kept).toMatchObject({ topic, payload, payloadBytes, isWhole, qos, retain, packetId, properties })
  expect([dup, kept!.dup]).toEqual([false, true])
  const ageMs = performance.now() - kept!.receivedAtMs
  expect(ageMs).toBeGreaterThanOrEqual(4_998)
  expect(ageMs).toBeLessThan(60_000)
})

test('answered, it is gone: by the process that kept it, or by the one that read it', () => {
  open().keep(deliveryOf())!()
  expect(open().kept()).toEqual([])
  open().keep(deliveryOf())
  const [kept] = open().kept()
  kept!.settle()
  kept!.settle()
  expect(readdirSync(folder)).toEqual([])
})

test('what cannot be kept stays with the broker: a released body, a full folder, a folder that cannot be written', () => {
  expect(open().keep({ ...deliveryOf(), isReleased: true })).toBeUndefined()
  expect(open().keep({ ...deliveryOf(Buffer.alloc(0)), isReleased: true })).toBeUndefined()
  const full = open()
  const large = Buffer.alloc(16 * 1024 * 1024)
  expect(full.keep(deliveryOf(large))).toBeTypeOf('function')
  expect(full.keep(deliveryOf(large))).toBeUndefined()
  writeFileSync(join(folder, 'file'), '')
  expect(open(join(folder, 'file', 'below')).keep(deliveryOf())).toBeUndefined()
  expect(told).toEqual([expect.stringContaining('bytes'), expect.stringContaining('ENOTDIR')])
})

test('room that an answered request leaves is used again', () => {
  const safekeeping = open()
  const large = Buffer.alloc(16 * 1024 * 1024)
  safekeeping.keep(deliveryOf(large))!()
  expect(safekeeping.keep(deliveryOf(large))).toBeTypeOf('function')
})

test('a file that is no kept request is named and left, and keeps nobody from starting', () => {
  open().keep(deliveryOf())
  const [name] = readdirSync(folder)
  const good = readFileSync(join(folder, name!), 'utf8')
  const broken = ['', 'null', '{}', '[]', good.slice(0, -5), good.replace('"topic"', '"tropic"')]
  for (const [index, text] of broken.entries()) writeFileSync(join(folder, `b${index}.request.json`), text)
  // Not written to the end: its PUBLISH was never acknowledged.
  writeFileSync(join(folder, 'half.request.json.new'), '{')
  expect(open().kept()).toHaveLength(1)
  expect(told).toHaveLength(broken.length)
  expect(readdirSync(folder).filter((file) => file.endsWith('.new'))).toEqual([])
})

test('without a folder there is nothing kept, and nothing is made', () => {
  expect(open(join(folder, 'none')).kept()).toEqual([])
  expect(readdirSync(folder)).toEqual([])
})
