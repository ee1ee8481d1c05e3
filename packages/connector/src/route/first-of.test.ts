import { expect, test } from 'vitest'
import type { Delivery, Routed, Router } from '../step.ts'
import { firstOf } from './first-of.ts'

const routerOf = (filter: string): Router => ({
  filters: () => [filter],
  route: ({ topic }) => (topic.startsWith(filter) ? ({ client: filter } as Routed) : undefined),
})
const clientOf = (router: Router, topic: string): unknown =>
  (router.route({ topic } as Delivery) as Routed | undefined)?.client

test('uses the first result that a router returns, and the filters of all routers', () => {
  const router = firstOf([routerOf('a'), routerOf('ab'), routerOf('c')])
  expect(router.filters()).toEqual(['a', 'ab', 'c'])
  expect(['abc', 'c', 'x'].map((topic) => clientOf(router, topic))).toEqual(['a', 'c', undefined])
})

test('returns a single router unchanged', () => {
  const only = routerOf('a')
  expect(firstOf([only])).toBe(only)
})
