// Compares the searches in both directions: filters for a topic name, and topic names for a filter (MQTT 5 §4.7).
import { expect, test } from 'vitest'
import { TopicTree } from './topic-tree.ts'

const NAMES = ['', 'a', '$a']
const LEVELS = ['', 'a', '$a', '+']

function joined(names: readonly string[], last: readonly string[], depth: number): string[] {
  if (depth === 1) return [...last]
  return names.flatMap((name) => joined(names, last, depth - 1).map((rest) => `${name}/${rest}`))
}

test('finds the same pairs of filter and topic name in both directions of search', () => {
  const topics = [1, 2, 3, 4].flatMap((depth) => joined(NAMES, NAMES, depth)).filter((topic) => topic !== '')
  const filters = [1, 2, 3, 4].flatMap((depth) => joined(LEVELS, [...LEVELS, '#'], depth))
  const [byFilter, byTopic] = [new TopicTree<string>(), new TopicTree<string>()]
  for (const filter of filters) byFilter.add(filter, filter)
  for (const topic of topics) byTopic.add(topic, topic)
  const fromTopics = topics.flatMap((topic) => byFilter.match(topic).map((filter) => `${filter} ${topic}`))
  const fromFilters = filters.flatMap((filter) =>
    [...byTopic.matchedBy(filter)].flatMap((topic) => (topic === undefined ? [] : `${filter} ${topic}`)),
  )
  expect(fromFilters.sort()).toEqual(fromTopics.sort())
  expect(fromFilters).toContain('a/# a')
  expect(fromFilters).toContain('+/# a/$a')
  expect(fromFilters).not.toContain('+/# $a/a')
})

test('continues a search if the tree changes during the search', () => {
  const tree = new TopicTree<string>()
  for (const topic of ['a/1', 'a/2', 'b/1']) tree.add(topic, topic)
  const found: string[] = []
  for (const topic of tree.matchedBy('#')) {
    if (topic === undefined) continue
    found.push(topic)
    tree.delete('a/1', 'a/1')
    tree.delete('a/2', 'a/2')
    tree.add('c', 'c')
  }
  expect(found).toEqual(['a/1', 'b/1', 'c'])
})
