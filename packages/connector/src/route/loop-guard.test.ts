import { expect, test } from 'vitest'
import type { Delivery, Routed, Router } from '../step.ts'
import { withoutLoops } from './loop-guard.ts'

const looping: Router = {
  filters: () => ['factory/+/camera'],
  route: ({ topic }) => ({ target: { topic: topic.replace('in', 'out') } }) as Routed,
}

const filters = (): string[] => ['factory/+/camera', 'plant/out/#']

test('does not route a request whose reply topic matches a subscribed filter, and reports it', () => {
  const looped: string[] = []
  const router = withoutLoops(looping, filters, (topic) => looped.push(topic))
  const route = (topic: string): unknown => router.route({ topic } as Delivery)
  expect(['factory/1/camera', 'plant/in/x', 'plant/in'].map(route)).toEqual([undefined, undefined, undefined])
  expect(looped).toEqual(['factory/1/camera', 'plant/out/x', 'plant/out'])
  expect(route('factory/1/in')).toMatchObject({ target: { topic: 'factory/1/out' } })
})
