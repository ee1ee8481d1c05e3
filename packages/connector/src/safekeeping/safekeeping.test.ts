import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Delivery } from '../step.ts'
import { Safekeeping } from './safekeeping.ts'

let folder: string
let reported: string[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safekeeping-'))
  reported = []
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

const open = (place = folder): Safekeeping =>
  new Safekeeping(place, {
    refused: (reason) => reported.push(`refused: ${reason}`),
    unreadable: (path) => reported.push(`unreadable: ${path}`),
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
  connection: {},
  isLost: false,
  redelivery: undefined,
  sharePayload: () => {},
  release: () => {},
  recycle: () => {},
  settle: () => {},
})

test('returns a stored request to the next process as a redelivery, with the same bytes and age', () => {
  expect(open().keep(deliveryOf(undefined, 5_000))).toBeTypeOf('function')
  const [kept] = open().kept()
  const { topic, payload, payloadBytes, isWhole, qos, retain, dup, packetId, properties } = deliveryOf()
  expect(kept).toMatchObject({ topic, payload, payloadBytes, isWhole, qos, retain, packetId, properties })
  expect([dup, kept!.dup]).toEqual([false, true])
  const ageMs = performance.now() - kept!.receivedAtMs
  expect(ageMs).toBeGreaterThanOrEqual(4_998)
  expect(ageMs).toBeLessThan(60_000)
})

test('removes an answered request, both in the process that stored it and in a process that read it', () => {
  open().keep(deliveryOf())!()
  expect(open().kept()).toEqual([])
  open().keep(deliveryOf())
  const [kept] = open().kept()
  kept!.settle()
  kept!.settle()
  expect(readdirSync(folder)).toEqual([])
})

test('does not store a released request, or any request if the folder is full or not writable', () => {
  expect(open().keep({ ...deliveryOf(), isReleased: true })).toBeUndefined()
  expect(open().keep({ ...deliveryOf(Buffer.alloc(0)), isReleased: true })).toBeUndefined()
  const full = open()
  const large = Buffer.alloc(16 * 1024 * 1024)
  expect(full.keep(deliveryOf(large))).toBeTypeOf('function')
  expect(full.keep(deliveryOf(large))).toBeUndefined()
  writeFileSync(join(folder, 'file'), '')
  expect(open(join(folder, 'file', 'below')).keep(deliveryOf())).toBeUndefined()
  expect(reported).toEqual([expect.stringContaining('bytes'), expect.stringContaining('ENOTDIR')])
})

test('reuses the space of an answered request', () => {
  const safekeeping = open()
  const large = Buffer.alloc(16 * 1024 * 1024)
  safekeeping.keep(deliveryOf(large))!()
  expect(safekeeping.keep(deliveryOf(large))).toBeTypeOf('function')
})

test('reports a file that is not a stored request, leaves it there, and starts', () => {
  open().keep(deliveryOf())
  const [name] = readdirSync(folder)
  const good = readFileSync(join(folder, name!), 'utf8')
  const broken = ['', 'null', '{}', '[]', good.slice(0, -5), good.replace('"topic"', '"tropic"')]
  for (const [index, text] of broken.entries()) writeFileSync(join(folder, `b${index}.request.json`), text)
  // This file is incomplete, so the PUBLISH of its request was never acknowledged.
  writeFileSync(join(folder, 'half.request.json.new'), '{')
  expect(open().kept()).toHaveLength(1)
  expect(reported).toHaveLength(broken.length)
  expect(readdirSync(folder).filter((file) => file.endsWith('.new'))).toEqual([])
})

test('returns no requests and creates nothing if the folder does not exist', () => {
  expect(open(join(folder, 'none')).kept()).toEqual([])
  expect(readdirSync(folder)).toEqual([])
})
