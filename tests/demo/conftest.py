from collections.abc import AsyncIterator

import pytest
from demo_client import DemoClient, demo_client


@pytest.fixture
async def client() -> AsyncIterator[DemoClient]:
    async with demo_client() as made:
        yield made
