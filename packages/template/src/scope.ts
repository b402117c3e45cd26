/** Names of the variables in scope; a variable's place in the list is its slot when the template is executed. */
export class Scope {
  private readonly names: string[] = ['$'];
  private size = 1;

  /** The most slots ever in use at once: what an execution must provide. */
  get slots(): number {
    return this.size;
  }

  declare(name: string): number {
    const slot = this.names.push(name) - 1;
    this.size = Math.max(this.size, this.names.length);
    return slot;
  }

  /** The slot of the innermost variable of that name, -1 if there is none. */
  find(name: string): number {
    return this.names.lastIndexOf(name);
  }

  mark(): number {
    return this.names.length;
  }

  /** Forgets the variables declared since `mark`. */
  release(mark: number): void {
    this.names.length = mark;
  }
}
